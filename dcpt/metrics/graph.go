package metrics

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"
)

// PSNRNode builds the PSNR of each image of a batch in dB: pred and target [N, H, W, 3] in [0,1]
// (not clamped, not rounded), result [N]. It is differentiable; the official code adds 1e-12 to
// the mean squared error, so equal images have 120 dB. For a loss use the official PSNRLoss of
// package dcpt, which differs. It panics, as graph functions do, on shapes that do not fit.
func PSNRNode(pred, target *Node, o Options) *Node {
	pred, target = prepareNodes("PSNR", pred, target, o)
	mse := imageMean(Square(Sub(pred, target)))
	return MulScalar(Log(AddScalar(mse, 1e-12)), -10/math.Ln10)
}

// SSIMNode builds the SSIM of each image of a batch: pred and target [N, H, W, 3] in [0,1] (not
// clamped, not rounded), result [N]. It is differentiable. The images must have at least 11x11
// pixels after cropping. In float32 its value is good to about 2e-6.
func SSIMNode(pred, target *Node, o Options) *Node {
	x, y := prepareNodes("SSIM", pred, target, o)
	n, h, w := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	if h < window || w < window {
		panic(fmt.Errorf("SSIM needs at least %dx%d pixels after cropping, got %s", window, window, x.Shape()))
	}
	// The variances are differences of squares: around the middle of the range these are small,
	// and float32 keeps more digits of the difference.
	const middle = 0.5
	x, y = AddScalar(x, -middle), AddScalar(y, -middle)
	means := localMeans(Concatenate([]*Node{x, y, Add(Square(x), Square(y)), Mul(x, y)}, 0))
	part := func(i int) *Node { return SliceAxis(means, 0, AxisRange(i*n, (i+1)*n)) }
	muX, muY, squares, product := part(0), part(1), part(2), part(3)
	variances := Sub(squares, Add(Square(muX), Square(muY)))
	covariance := Sub(product, Mul(muX, muY))
	muX, muY = AddScalar(muX, middle), AddScalar(muY, middle)
	const c1, c2 = ssimC1 / (255 * 255), ssimC2 / (255 * 255)
	return imageMean(Div(
		Mul(AddScalar(MulScalar(Mul(muX, muY), 2), c1), AddScalar(MulScalar(covariance, 2), c2)),
		Mul(AddScalar(Add(Square(muX), Square(muY)), c1), AddScalar(variances, c2))))
}

// prepareNodes checks, crops and converts both batches.
func prepareNodes(what string, pred, target *Node, o Options) (a, b *Node) {
	if pred.Rank() != 4 || pred.Shape().Dim(-1) != 3 || !pred.Shape().Equal(target.Shape()) {
		panic(fmt.Errorf("%s needs two batches of RGB images [N, H, W, 3], got %s and %s", what, pred.Shape(), target.Shape()))
	}
	if c := o.CropBorder; c < 0 || 2*c >= min(pred.Shape().Dim(1), pred.Shape().Dim(2)) {
		panic(fmt.Errorf("%s: a crop border of %d pixels leaves nothing of %s", what, c, pred.Shape()))
	}
	return prepareNode(pred, o), prepareNode(target, o)
}

// prepareNode crops and converts one batch.
func prepareNode(x *Node, o Options) *Node {
	if c := o.CropBorder; c > 0 {
		x = Slice(x, AxisRange(), AxisRange(c, -c), AxisRange(c, -c))
	}
	if o.Y {
		weights := ExpandLeftToRank(ConstAs(x, []float64{65.481 / 255, 128.553 / 255, 24.966 / 255}), 4)
		x = AddScalar(ExpandDims(ReduceSum(Mul(x, weights), -1), -1), 16.0/255)
	}
	return x
}

// imageMean averages each image: [N, H, W, C] to [N]. It adds up rows first: a backend that adds
// one number after another would lose digits of float32 over a whole image.
func imageMean(x *Node) *Node {
	return ReduceMean(ReduceMean(x, 2, 3), 1)
}

// localMeans filters images [N, H, W, C] with the Gaussian window: [N, H-10, W-10, C]. The filter
// is a band matrix for each direction: products are fast in both directions of the gradient, which
// grouped convolutions are not.
func localMeans(x *Node) *Node {
	band := func(size int) *Node {
		rows := make([][]float64, size-window+1)
		for i := range rows {
			rows[i] = make([]float64, size)
			copy(rows[i][i:], gaussian[:])
		}
		return ConstAs(x, rows)
	}
	x = Einsum("nhwc,yh->nywc", x, band(x.Shape().Dim(1)))
	return Einsum("nywc,xw->nyxc", x, band(x.Shape().Dim(2)))
}
