package show

import (
	"image/color"
	"strings"
	"testing"

	"github.com/godcpt/godcpt/datasets/imageio"
	"github.com/godcpt/godcpt/dcpt"
)

// grey returns an image of one grey value.
func grey(w, h int, value float32) *imageio.Image {
	im := imageio.New(w, h)
	for i := range im.Pix {
		im.Pix[i] = value
	}
	return im
}

func TestPhotoSheet(t *testing.T) {
	black, middle := grey(60, 40, 0), grey(60, 40, 0.5)
	one, err := photoSheet(2, []Photo{{"a", black}, {"b", black}})
	if err != nil {
		t.Fatal(err)
	}
	three, err := photoSheet(2, []Photo{{"a", black}, {"b", black}, {"c", middle}})
	if err != nil {
		t.Fatal(err)
	}
	row := one.Bounds().Dy()
	if got, want := three.Bounds().Dy(), 2*row; got != want || three.Bounds().Dx() != one.Bounds().Dx() {
		t.Errorf("three photos in rows of two: %v, one row of two: %v", three.Bounds(), one.Bounds())
	}
	// The third photo stands below the first, and nothing but white beside it.
	count := map[color.RGBA]int{}
	for y := row; y < 2*row; y++ {
		for x := range three.Bounds().Dx() {
			count[three.RGBAAt(x, y)]++
		}
	}
	half := color.RGBA{128, 128, 128, 255} // 127.5 rounds to even
	if count[half] < 60*40 || count[color.RGBA{0, 0, 0, 255}] > 0 {
		t.Errorf("the second row has %d grey pixels of %d, and %d black ones", count[half], 60*40, count[color.RGBA{0, 0, 0, 255}])
	}
}

func TestPhotosRejects(t *testing.T) {
	good := Photo{"a", grey(4, 4, 1)}
	for name, show := range map[string]func() error{
		"no photo":   func() error { return Photos(3) },
		"no columns": func() error { return Photos(0, good) },
		"no image":   func() error { return Photos(1, good, Photo{Label: "lost"}) },
		"empty":      func() error { return Photos(1, Photo{"empty", imageio.New(0, 5)}) },
	} {
		if err := show(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Photos(1, good); err != nil {
		t.Errorf("outside a notebook: %v", err)
	}
}

func evaluation() *dcpt.Evaluation {
	return &dcpt.Evaluation{
		Sets: []dcpt.SetScore{
			{Name: "noise", Images: 2, PSNRDegraded: 20, PSNRRestored: 24.5, SSIMDegraded: 0.5, SSIMRestored: 0.75},
			{Name: "rain", Images: 2, PSNRDegraded: 22, PSNRRestored: 21, SSIMDegraded: 0.75, SSIMRestored: 0.75},
		},
		Accuracy:  0.75,
		Classes:   []string{"noise", "rain"},
		Confusion: [][]int{{2, 0}, {1, 1}},
	}
}

func TestTables(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"scores", scoreTable(evaluation()), `
| Degradation | Images | PSNR degraded | PSNR restored | PSNR gain | SSIM degraded | SSIM restored | SSIM gain |
|:--|--:|--:|--:|--:|--:|--:|--:|
| noise | 2 | 20.00 | 24.50 | +4.50 | 0.5000 | 0.7500 | +0.2500 |
| rain | 2 | 22.00 | 21.00 | −1.00 | 0.7500 | 0.7500 | 0.0000 |
| **Mean** | **4** | **21.00** | **22.75** | **+1.75** | **0.6250** | **0.7500** | **+0.1250** |

PSNR in dB.`},
		{"confusion", confusionTable(evaluation()), `
| actual \ predicted | noise | rain |
|:--|--:|--:|
| **noise** | **2** | 0 |
| **rain** | 1 | **1** |

Right: 75.0 % of 4 images.`},
	} {
		if strings.TrimSpace(tt.got) != strings.TrimSpace(tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, tt.got, tt.want)
		}
	}
}

func TestTablesReject(t *testing.T) {
	if err := Scores(&dcpt.Evaluation{}); err == nil {
		t.Error("scores of an empty evaluation: no error")
	}
	if err := Confusion(&dcpt.Evaluation{}); err == nil {
		t.Error("confusion without a classifier: no error")
	}
	if err := Scores(evaluation()); err != nil {
		t.Error(err)
	}
	if err := Confusion(evaluation()); err != nil {
		t.Error(err)
	}
}
