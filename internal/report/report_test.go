package report

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// gradient returns a picture in which every pixel differs from its neighbours.
func gradient(w, h int) *image.RGBA {
	im := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			im.SetRGBA(x, y, color.RGBA{uint8(7 * x), uint8(5 * y), uint8(3 * (x + y)), 255})
		}
	}
	return im
}

// full is a report that has everything.
func full() Report {
	return Report{
		Title:    `Run <1> & "two"`,
		Subtitle: "A <script>alert(1)</script> subtitle",
		Facts:    []Fact{{"Backend", "xla:cpu"}, {"<b>", "</dd>"}},
		Tables: []Table{
			Results("Results", []Score{
				{"Noise", 4, 20, 28.5, 0.4, 0.8},
				{"Haze", 4, 15.5, 15.25, 0.75, 0.75},
			}),
			{Title: "Plain", Columns: []string{"Name", "Text"}, Rows: [][]string{{"a", "b <i>"}}},
		},
		Pairs: []Pair{
			{"Noise", gradient(4, 3), gradient(4, 3), gradient(4, 3), "<u>caption</u>"},
			{"Haze", gradient(4, 3), gradient(4, 3), nil, ""},
		},
		Curves: []Curve{{
			Title: "Loss </script>", XLabel: "step", YLabel: "loss", LogY: true,
			Series: []Series{{"train </script>", []float64{0, 10, 20}, []float64{1, 0.1, 0.01}}},
		}},
		Confusion: &Matrix{"Confusion", []string{"noise", "haze"}, [][]int{{3, 1}, {0, 0}}},
		Next:      []Command{{"Restore <your> photos", `godcpt restore "a & b" -o c`}, {"Read the docs", ""}},
	}
}

func write(t *testing.T, r Report) (path, page string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "report.html")
	if err := Write(path, r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(data)
}

var (
	tagPattern   = regexp.MustCompile(`<(/?)([a-z0-9]+)((?:\s+[-a-zA-Z]+(?:="[^"]*")?)*)\s*(/?)>`)
	classPattern = regexp.MustCompile(`\sclass="([^"]*)"`)
)

// outline returns the elements of a page's body as name.class, children in brackets behind their
// parent, and checks that they are properly nested.
func outline(t *testing.T, page string) string {
	t.Helper()
	_, body, _ := strings.Cut(page, "<body>")
	scripts := regexp.MustCompile(`(?s)(<script[^>]*>).*?(</script>)`)
	body = scripts.ReplaceAllString(body, "$1$2")
	if rest := tagPattern.ReplaceAllString("<body>"+body, ""); strings.ContainsAny(rest, "<>") {
		t.Fatalf("not all of the page is understood: %q", strings.TrimSpace(rest))
	}
	var b strings.Builder
	open := []string{"html", "body"}
	for _, m := range tagPattern.FindAllStringSubmatch(body, -1) {
		name := m[2]
		if m[1] == "/" {
			if last := open[len(open)-1]; last != name {
				t.Fatalf("</%s> closes <%s>", name, last)
			}
			open = open[:len(open)-1]
			b.WriteString(")")
			continue
		}
		b.WriteString(" " + name)
		if class := classPattern.FindStringSubmatch(m[3]); class != nil && class[1] != "" {
			b.WriteString("." + strings.ReplaceAll(class[1], " ", "."))
		}
		if m[4] == "" && !slices.Contains([]string{"img", "input", "meta", "link", "br"}, name) {
			open = append(open, name)
			b.WriteString("(")
		}
	}
	if len(open) != 0 {
		t.Fatalf("not closed: %v", open)
	}
	return strings.ReplaceAll(b.String(), "()", "")
}

func TestStructure(t *testing.T) {
	want := []string{
		"main(",
		"header( h1 p.subtitle)",
		"dl.facts( div( dt dd) div( dt dd))",
		"section( h2 div.scroll( table.results(" +
			" thead( tr( th th.number th.number th.number th.number th.number th.number th.number))" +
			" tbody( tr( th td.number td.number td.number td.number.good td.number td.number td.number.good)" +
			" tr( th td.number td.number td.number td.number.bad td.number td.number td.number))" +
			" tfoot( tr( th td.number td.number td.number td.number.good td.number td.number td.number.good)))) p.note)",
		"section( h2 div.scroll( table.results( thead( tr( th th)) tbody( tr( th td)))))",
		"section( h2 p.note div.pairs(" +
			" figure.pair( div.compare.small( img.after img.truth img.before span.tag.left span.tag.right input span.handle) figcaption( span( b) button.swap))" +
			" figure.pair( div.compare.small( img.after img.before span.tag.left span.tag.right input span.handle) figcaption( span( b)))))",
		"section( h2 div.charts( figure.chart( figcaption ul.legend( li.s0( b)) div.ylabel div.frame(" +
			" div.yticks( span span span) div.plot( svg( path.grid g.s0( path.line path.dots))) div.xticks( span span span span span)) div.xlabel script)))",
		"section( h2 p.note div.scroll( table.matrix( thead( tr( td th th)) tbody(" +
			" tr( th td.right.strong( b small) td.wrong( b small)) tr( th td.wrong( b small) td.right( b small))))))",
		"section( h2 ol.next( li( p div.command( code button.copy)) li( p)))",
		"footer)",
		"script))",
	}
	_, page := write(t, full())
	got := outline(t, page)
	rest := strings.TrimSpace(got)
	for _, w := range want {
		after, ok := strings.CutPrefix(rest, w)
		if !ok {
			t.Fatalf("got\n%s\nwant\n%s", rest, w)
		}
		rest = strings.TrimSpace(after)
	}
	if rest != "" {
		t.Errorf("more than expected: %s", rest)
	}
}

func TestEmptyPartsAreLeftOut(t *testing.T) {
	_, page := write(t, Report{Title: "Empty"})
	if got, want := outline(t, page), " main( header( h1) footer) script))"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTextIsEscaped(t *testing.T) {
	_, page := write(t, full())
	for _, want := range []string{
		"<title>Run &lt;1&gt; &amp; &#34;two&#34;</title>",
		"<h1>Run &lt;1&gt; &amp; &#34;two&#34;</h1>",
		"A &lt;script&gt;alert(1)&lt;/script&gt; subtitle",
		"<dt>&lt;b&gt;</dt><dd>&lt;/dd&gt;</dd>",
		"b &lt;i&gt;",
		"&lt;u&gt;caption&lt;/u&gt;",
		"<figcaption>Loss &lt;/script&gt;</figcaption>",
		`"name":"train \u003c/script\u003e"`,
		"Restore &lt;your&gt; photos",
		"<code>godcpt restore &#34;a &amp; b&#34; -o c</code>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Error("the template engine rejected a value")
	}
}

func TestPageIsSelfContained(t *testing.T) {
	_, page := write(t, full())
	if at := regexp.MustCompile(`(?i)https?:|url\(|@import|<link[^>]+stylesheet`).FindString(page); at != "" {
		t.Errorf("the page refers to something outside: %q", at)
	}
	for _, m := range regexp.MustCompile(`\s(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(m[1], "data:") {
			t.Errorf("the page loads %q", m[1])
		}
	}
	if !strings.Contains(page, `http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;`) {
		t.Error("the page does not forbid requests")
	}
}

func TestDeterministic(t *testing.T) {
	_, a := write(t, full())
	_, b := write(t, full())
	if a != b {
		t.Error("equal reports give different pages")
	}
}

func TestWriteRejects(t *testing.T) {
	tests := []struct {
		name string
		r    Report
		want string
	}{
		{"short row", Report{Tables: []Table{{Title: "T", Columns: []string{"a", "b"}, Rows: [][]string{{"x"}}}}}, `table "T": row 0 has 1 cells for 2 columns`},
		{"no image", Report{Pairs: []Pair{{Title: "P", Before: gradient(1, 1)}}}, `images "P"`},
		{"empty image", Report{Pairs: []Pair{{Title: "P", Before: gradient(1, 1), After: gradient(0, 1)}}}, "no pixels"},
		{"unequal series", Report{Curves: []Curve{{Title: "C", Series: []Series{{"s", []float64{1}, nil}}}}}, `curve "C": series "s" has 1 x and 0 y`},
		{"x decreases", Report{Curves: []Curve{{Title: "C", Series: []Series{{"s", []float64{1, 0}, []float64{1, 1}}}}}}, "x values decrease"},
		{"matrix rows", Report{Confusion: &Matrix{"M", []string{"a"}, nil}}, "0 rows for 1 classes"},
		{"matrix cells", Report{Confusion: &Matrix{"M", []string{"a"}, [][]int{{1, 2}}}}, "row 0 has 2 cells"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "report.html")
			err := Write(path, tt.r)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error = %v, want one with %q and the path", err, tt.want)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a page was written")
			}
		})
	}
}

func TestResults(t *testing.T) {
	table := Results("R", []Score{
		{"Noise", 4, 20, 28.5, 0.4, 0.8},
		{"Blur", 2, 30, 29.994, 0.75, 0.75},
	})
	want := [][]string{
		{"Noise", "4", "20.00", "28.50", "+8.50", "0.4000", "0.8000", "+0.4000"},
		{"Blur", "2", "30.00", "29.99", "−0.01", "0.7500", "0.7500", "0.0000"},
	}
	for i, row := range want {
		if !slices.Equal(table.Rows[i], row) {
			t.Errorf("row %d: %q, want %q", i, table.Rows[i], row)
		}
	}
	if mean := []string{"Mean", "6", "25.00", "29.25", "+4.25", "0.5750", "0.7750", "+0.2000"}; !slices.Equal(table.Footer, mean) {
		t.Errorf("footer %q, want %q", table.Footer, mean)
	}
	if one := Results("R", []Score{{Name: "Noise", PSNRRestored: math.Inf(1)}}); one.Footer != nil || one.Rows[0][4] != "+∞" {
		t.Errorf("single score: %q, footer %q; want a gain of +∞ and no mean", one.Rows[0], one.Footer)
	}
}

func TestSigned(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		want string
	}{{1.234, "+1.23"}, {-1.236, "−1.24"}, {0.001, "0.00"}, {-0.001, "0.00"}, {math.NaN(), "–"}, {math.Inf(-1), "−∞"}} {
		if got := signed(tt.v, 2); got != tt.want {
			t.Errorf("signed(%g) = %q, want %q", tt.v, got, tt.want)
		}
	}
}

func TestConfusion(t *testing.T) {
	d, err := newMatrix(*full().Confusion)
	if err != nil {
		t.Fatal(err)
	}
	if d.Accuracy != "75.0 % of 4 images" {
		t.Errorf("accuracy %q", d.Accuracy)
	}
	if got, want := fmt.Sprint(d.Rows), "[{noise [{3 75 % 0.75 true} {1 25 % 0.25 false}]} {haze [{0 0 % 0 false} {0 0 % 0 true}]}]"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}

// TestBrowser runs the page's script where a Chromium is installed.
func TestBrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" || testing.Short() {
		t.Skip("the page's script is not run: it needs Chromium on the PATH, and a test without -short")
	}
	path, _ := write(t, full())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--enable-logging=stderr", "--dump-dom", "file://"+path)
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("Chromium does not run here: %v\n%s", err, &log)
	}
	if strings.Contains(log.String(), "CONSOLE") {
		t.Errorf("the browser complains: %s", &log)
	}
	for _, want := range []string{
		`<html lang="en" class="live">`,
		`style="--x: 50%;"`, // the sliders are connected
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the script did not leave %s in the page", want)
		}
	}
}
