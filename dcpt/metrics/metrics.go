// Package metrics scores restored images: PSNR and SSIM exactly as the official DCPT test protocol
// (and BasicSR, from which it stems) computes them, and differentiable forms in a graph.
package metrics

import (
	"fmt"
	"math"

	"github.com/godcpt/godcpt/datasets/imageio"
)

// Options of a metric. The zero value is the protocol of the paper's 5D tables: RGB, whole image.
type Options struct {
	// Y compares the luma (ITU-R BT.601, 16 to 235) instead of the three colours.
	Y bool `yaml:"y,omitempty"`
	// CropBorder is the number of pixels left out at each side.
	CropBorder int `yaml:"crop_border,omitempty"`
}

// window is the side of SSIM's Gaussian window: no position without all of it counts.
const window = 11

// PSNR returns the peak signal-to-noise ratio of a restored image in dB, infinity if it equals gt.
// Both are first rounded to 8 bits, as a saved image is: clamp to [0,1], times 255, half to even
// (parity case metrics).
func PSNR(restored, gt *imageio.Image, o Options) (float64, error) {
	a, b, err := prepare(restored, gt, o)
	if err != nil {
		return 0, fmt.Errorf("PSNR: %w", err)
	}
	return psnr(a, b), nil
}

// SSIM returns the structural similarity of a restored image, 1 if it equals gt, with Gaussian
// windows of 11 pixels (sigma 1.5) that lie wholly inside the image, population covariance, and
// the mean over positions and colours. It equals scikit-image's structural_similarity with
// gaussian_weights, sigma 1.5 and use_sample_covariance off. Rounding is that of PSNR. After
// cropping the image must have at least 11x11 pixels.
func SSIM(restored, gt *imageio.Image, o Options) (float64, error) {
	a, b, err := prepare(restored, gt, o)
	if err != nil {
		return 0, fmt.Errorf("SSIM: %w", err)
	}
	if a.w < window || a.h < window {
		return 0, fmt.Errorf("SSIM: needs at least %dx%d pixels after cropping, the image has %dx%d", window, window, a.w, a.h)
	}
	return ssim(a, b), nil
}

// planes holds the channels of an image on the scale 0..255, row-major.
type planes struct {
	w, h     int
	channels [][]float32
}

// prepare rounds, crops and converts both images.
func prepare(restored, gt *imageio.Image, o Options) (a, b planes, err error) {
	if restored.W != gt.W || restored.H != gt.H {
		return a, b, fmt.Errorf("the restored image has %dx%d pixels, the true one %dx%d", restored.W, restored.H, gt.W, gt.H)
	}
	if o.CropBorder < 0 {
		return a, b, fmt.Errorf("a crop border of %d pixels is not possible", o.CropBorder)
	}
	if 2*o.CropBorder >= min(gt.W, gt.H) {
		return a, b, fmt.Errorf("a crop border of %d pixels leaves nothing of %dx%d", o.CropBorder, gt.W, gt.H)
	}
	return split(restored, o), split(gt, o), nil
}

// split makes planes of an image's 8-bit values.
func split(im *imageio.Image, o Options) planes {
	c := o.CropBorder
	p := planes{w: im.W - 2*c, h: im.H - 2*c, channels: make([][]float32, 3)}
	if o.Y {
		p.channels = p.channels[:1]
	}
	for i := range p.channels {
		p.channels[i] = make([]float32, 0, p.w*p.h)
	}
	values := im.Quantize()
	for y := c; y < im.H-c; y++ {
		for x := c; x < im.W-c; x++ {
			rgb := values[(y*im.W+x)*3:][:3]
			if o.Y {
				p.channels[0] = append(p.channels[0], luma(rgb))
				continue
			}
			for i, v := range rgb {
				p.channels[i] = append(p.channels[i], float32(v))
			}
		}
	}
	return p
}

// luma is the Y of an 8-bit colour, 16 to 235, not rounded to an integer. The steps through
// float32 are those of the official code; they show in the tenth digit of a score. The conversions
// around the products keep processors from fusing them with the additions.
func luma(rgb []uint8) float32 {
	r, g, b := float64(float32(rgb[0])/255), float64(float32(rgb[1])/255), float64(float32(rgb[2])/255)
	y := float64(65.481*r) + float64(128.553*g) + float64(24.966*b) + 16
	return float32(y/255) * 255
}

// psnr compares planes of equal size.
func psnr(a, b planes) float64 {
	var sum float64
	for i, channel := range a.channels {
		for j, v := range channel {
			d := float64(v) - float64(b.channels[i][j])
			sum += d * d
		}
	}
	mse := sum / float64(len(a.channels)*a.w*a.h)
	return 10 * math.Log10(255*255/mse) // x/0 is infinity
}

// ssim compares planes of equal size, the mean over channels.
func ssim(a, b planes) float64 {
	var sum float64
	for i, channel := range a.channels {
		sum += ssimPlane(channel, b.channels[i], a.w, a.h)
	}
	return sum / float64(len(a.channels))
}

// SSIM's constants for values 0..255.
const (
	ssimC1 = (0.01 * 255) * (0.01 * 255)
	ssimC2 = (0.03 * 255) * (0.03 * 255)
)

// ssimPlane walks down the image with the last 11 rows of the four quantities whose local means
// SSIM needs: x, y, x*x+y*y (the variances occur as a sum only) and x*y.
func ssimPlane(a, b []float32, w, h int) float64 {
	const quantities = 4
	var ring [quantities][window][]float64
	var columns, means [quantities][]float64
	for q := range ring {
		for i := range ring[q] {
			ring[q][i] = make([]float64, w)
		}
		columns[q], means[q] = make([]float64, w), make([]float64, w-window+1)
	}
	var sum float64
	for y := range h {
		at := y % window
		fillRow(ring[0][at], ring[1][at], ring[2][at], ring[3][at], a[y*w:(y+1)*w], b[y*w:(y+1)*w])
		if y < window-1 {
			continue
		}
		for q := range ring {
			var rows, shifted [window][]float64
			for i := range rows {
				rows[i] = ring[q][(y+1+i)%window]
				shifted[i] = columns[q][i : i+w-window+1]
			}
			weigh(columns[q], &rows)
			weigh(means[q], &shifted)
		}
		sum += ssimRow(means[0], means[1], means[2], means[3])
	}
	return sum / float64((w-window+1)*(h-window+1))
}

// fillRow computes the four quantities of a row of pixels.
func fillRow(x, y, squares, product []float64, a, b []float32) {
	for i := range a {
		p, q := float64(a[i]), float64(b[i])
		x[i], y[i], squares[i], product[i] = p, q, p*p+q*q, p*q
	}
}

// weigh sets out to the sum of 11 rows, each times the Gaussian weight of its place. The weights
// are symmetric, so rows are added in pairs.
func weigh(out []float64, rows *[window][]float64) {
	k := &gaussian
	n := len(out)
	r0, r1, r2, r3, r4, r5 := rows[0][:n], rows[1][:n], rows[2][:n], rows[3][:n], rows[4][:n], rows[5][:n]
	r6, r7, r8, r9, r10 := rows[6][:n], rows[7][:n], rows[8][:n], rows[9][:n], rows[10][:n]
	for i := range out {
		out[i] = k[0]*(r0[i]+r10[i]) + k[1]*(r1[i]+r9[i]) + k[2]*(r2[i]+r8[i]) +
			k[3]*(r3[i]+r7[i]) + k[4]*(r4[i]+r6[i]) + k[5]*r5[i]
	}
}

// ssimRow adds up the SSIM map of a row from local means.
func ssimRow(muX, muY, squares, product []float64) float64 {
	var sum float64
	for i, x := range muX {
		y := muY[i]
		xy, xx := x*y, x*x+y*y
		sum += (2*xy + ssimC1) * (2*(product[i]-xy) + ssimC2) / ((xx + ssimC1) * (squares[i] - xx + ssimC2))
	}
	return sum
}

// gaussian holds the window's weights in one direction: sigma 1.5, sum 1.
var gaussian = func() (k [window]float64) {
	var sum float64
	for i := range k {
		d := float64(i - window/2)
		k[i] = math.Exp(-d * d / (2 * 1.5 * 1.5))
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	return k
}()
