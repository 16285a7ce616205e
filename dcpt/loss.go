package dcpt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/godcpt/godcpt/internal/suggest"
)

// Kinds of losses, named as the official classes.
const (
	lossL1           = "L1Loss"
	lossMSE          = "MSELoss"
	lossCharbonnier  = "CharbonnierLoss"
	lossSmoothL1     = "SmoothL1Loss"
	lossHuber        = "HuberLoss"
	lossPSNR         = "PSNRLoss"
	lossTV           = "WeightedTVLoss"
	lossCrossEntropy = "CrossEntropyLoss"
	lossFocal        = "FocalLoss"
)

// The kinds in the order of their messages.
var (
	pixelLossKinds    = []string{lossL1, lossMSE, lossCharbonnier, lossSmoothL1, lossHuber, lossPSNR, lossTV}
	classifyLossKinds = []string{lossCrossEntropy, lossFocal}
)

// Ways to reduce a loss to a number.
const (
	reduceMean = "mean"
	reduceSum  = "sum"
	reduceNone = "none"
)

var reductions = []string{reduceMean, reduceSum, reduceNone}

// defaultIgnoreIndex is PyTorch's label for "not to be counted".
const defaultIgnoreIndex = -100

// PixelLoss compares a restored image with the true one, as the loss classes of the official code
// do (parity case losses). With d = pred - target, the kinds are
//
//	L1Loss           |d|
//	MSELoss          d^2
//	CharbonnierLoss  sqrt(d^2 + eps)
//	SmoothL1Loss     d^2/(2 beta) where |d| < beta, else |d| - beta/2
//	HuberLoss        m^2/2 + |d| - m with m = min(|d|, delta): not the textbook's form, the slope
//	                 jumps from delta to 1
//	PSNRLoss         10 log10(mse + 1e-8), the mean over the batch; -80 at best
//	WeightedTVLoss   |differences of neighbours in pred|, vertical plus horizontal; no target
type PixelLoss struct {
	// Kind is one of the above.
	Kind string `yaml:"kind"`
	// Weight multiplies the loss; 0 means 1.
	Weight float64 `yaml:"weight,omitempty"`
	// Reduction is "mean" (the default), "sum", or "none" for one value per element. PSNRLoss has
	// the mean only, WeightedTVLoss no "none".
	Reduction string `yaml:"reduction,omitempty"`
	// Eps is Charbonnier's; 0 means 1e-12.
	Eps float64 `yaml:"eps,omitempty"`
	// Beta is SmoothL1's; 0 means 1.
	Beta float64 `yaml:"beta,omitempty"`
	// Delta is Huber's; 0 means 0.01.
	Delta float64 `yaml:"delta,omitempty"`
	// ToY makes PSNRLoss compare the luma (ITU-R BT.601, in 16/255..235/255) of RGB images.
	ToY bool `yaml:"to_y,omitempty"`
}

// Validate checks the configuration. Node panics on what this refuses.
func (l PixelLoss) Validate() error {
	if !slices.Contains(pixelLossKinds, l.Kind) {
		return unknownKind("pixel loss", l.Kind, pixelLossKinds)
	}
	if err := l.checkReduction(); err != nil {
		return fmt.Errorf("pixel loss %s: %w", l.Kind, err)
	}
	for _, f := range []struct {
		name  string
		value float64
		kind  string // the only kind that uses it
	}{
		{"weight", l.Weight, l.Kind},
		{"eps", l.Eps, lossCharbonnier},
		{"beta", l.Beta, lossSmoothL1},
		{"delta", l.Delta, lossHuber},
	} {
		if !(f.value >= 0) || math.IsInf(f.value, 0) {
			return fmt.Errorf("pixel loss %s: %s is %v; it must be a positive number (leave it out for the default)", l.Kind, f.name, f.value)
		}
		if f.value != 0 && l.Kind != f.kind {
			return fmt.Errorf("pixel loss %s: %s belongs to %s; remove it or change the kind", l.Kind, f.name, f.kind)
		}
	}
	if l.ToY && l.Kind != lossPSNR {
		return fmt.Errorf("pixel loss %s: to_y belongs to %s; remove it or change the kind", l.Kind, lossPSNR)
	}
	return nil
}

// validateScalar is Validate for a loss to minimise, which must be one number.
func (l PixelLoss) validateScalar() error {
	if l.Reduction == reduceNone {
		return fmt.Errorf("pixel loss %s: reduction %q gives no single number to minimise: choose %q or %q", l.Kind, reduceNone, reduceMean, reduceSum)
	}
	return l.Validate()
}

// checkReduction checks the reduction, with the limits of single kinds.
func (l PixelLoss) checkReduction() error {
	r := orDefault(l.Reduction, reduceMean)
	if !slices.Contains(reductions, r) {
		return unknownKind("reduction", r, reductions)
	}
	if l.Kind == lossPSNR && r != reduceMean {
		return fmt.Errorf("reduction %q is not possible, only %q", r, reduceMean)
	}
	if l.Kind == lossTV && r == reduceNone {
		return fmt.Errorf("reduction %q is not possible: vertical and horizontal differences have different shapes", r)
	}
	return nil
}

// Node builds the loss of pred against target, both [N, H, W, C] of one floating point type with
// values around 0..1. It returns a scalar, or [N, H, W, C] for the reduction "none".
// WeightedTVLoss does not look at target, which may be nil.
func (l PixelLoss) Node(pred, target *Node) *Node {
	return l.WeightedNode(pred, target, nil)
}

// WeightedNode is Node with a weight for each element: weight is [N, H, W, C], or [N, H, W, 1] for
// all channels of a pixel, or nil. The mean then divides by the sum of the weights of the
// elements, not by their number. PSNRLoss takes no weight.
func (l PixelLoss) WeightedNode(pred, target, weight *Node) *Node {
	if err := l.Validate(); err != nil {
		panic(err)
	}
	if pred.Rank() != 4 {
		panic(fmt.Errorf("pixel loss %s needs images [N, H, W, C], got %s", l.Kind, pred.Shape()))
	}
	if l.Kind == lossTV {
		return l.scaled(l.totalVariation(pred, weight))
	}
	if !pred.Shape().Equal(target.Shape()) {
		panic(fmt.Errorf("pixel loss %s: the shapes %s and %s differ", l.Kind, pred.Shape(), target.Shape()))
	}
	if l.Kind == lossPSNR {
		if weight != nil {
			panic(errors.New("PSNRLoss takes no element weights"))
		}
		return l.scaled(l.psnr(pred, target))
	}
	return l.scaled(reduceWeighted(l.elementwise(Sub(pred, target)), weight, orDefault(l.Reduction, reduceMean)))
}

// scaled multiplies by the loss's weight.
func (l PixelLoss) scaled(loss *Node) *Node {
	return MulScalar(loss, orDefault(l.Weight, 1))
}

// elementwise is the loss of each element's difference.
func (l PixelLoss) elementwise(d *Node) *Node {
	switch l.Kind {
	case lossL1:
		return abs(d)
	case lossMSE:
		return Square(d)
	case lossCharbonnier:
		return Sqrt(AddScalar(Square(d), orDefault(l.Eps, 1e-12)))
	case lossSmoothL1:
		beta := orDefault(l.Beta, 1)
		a := abs(d)
		return Where(LessThan(a, Scalar(d.Graph(), d.DType(), beta)),
			MulScalar(Square(d), 0.5/beta), AddScalar(a, -0.5*beta))
	case lossHuber:
		delta := orDefault(l.Delta, 0.01)
		a := abs(d)
		return Where(LessOrEqual(a, Scalar(d.Graph(), d.DType(), delta)),
			MulScalar(Square(d), 0.5), AddScalar(a, 0.5*delta*delta-delta))
	}
	panic(fmt.Errorf("pixel loss %s is not a sum over elements", l.Kind))
}

// psnr is the negative PSNR of images in 0..1, the mean over the batch.
func (l PixelLoss) psnr(pred, target *Node) *Node {
	d := Sub(pred, target)
	if l.ToY {
		if d.Shape().Dim(-1) != 3 {
			panic(fmt.Errorf("PSNRLoss with to_y needs RGB images, got %s", d.Shape()))
		}
		// The luma's offset cancels in the difference.
		luma := ConstAs(d, []float64{65.481 / 255, 128.553 / 255, 24.966 / 255})
		d = ReduceSum(Mul(d, ExpandLeftToRank(luma, 4)), -1)
		d = ExpandDims(d, -1)
	}
	mse := ReduceMean(ReduceMean(Square(d), 2, 3), 1)
	return MulScalar(ReduceAllMean(Log(AddScalar(mse, 1e-8))), 10/math.Ln10)
}

// totalVariation is the L1 loss between vertical, plus that between horizontal neighbours. As in
// the official code, a difference has the weight of its upper or left pixel.
func (l PixelLoss) totalVariation(pred, weight *Node) *Node {
	var sum *Node
	for _, axis := range []int{1, 2} {
		if pred.Shape().Dim(axis) < 2 {
			panic(fmt.Errorf("WeightedTVLoss needs images of at least 2x2 pixels, got %s", pred.Shape()))
		}
		d := Sub(SliceAxis(pred, axis, AxisRange(0, -1)), SliceAxis(pred, axis, AxisRangeToEnd(1)))
		var w *Node
		if weight != nil {
			w = SliceAxis(weight, axis, AxisRange(0, -1))
		}
		part := reduceWeighted(abs(d), w, orDefault(l.Reduction, reduceMean))
		if sum == nil {
			sum = part
		} else {
			sum = Add(sum, part)
		}
	}
	return sum
}

// abs is |d| with gradient 0 at 0, as in PyTorch. GoMLX's Abs has gradient 1 there, which would
// push a network off a perfect copy of its input.
func abs(d *Node) *Node {
	return Mul(d, StopGradient(Sign(d)))
}

// reduceWeighted reduces a loss [N, H, W, C] with element weights of that shape or [N, H, W, 1], or
// nil.
func reduceWeighted(loss, weight *Node, reduction string) *Node {
	if weight != nil {
		weight = BroadcastLike(weight, loss)
		loss = Mul(loss, weight)
	}
	switch {
	case reduction == reduceNone:
		return loss
	case reduction == reduceSum:
		return sumRowsFirst(loss)
	case weight != nil:
		return Div(sumRowsFirst(loss), sumRowsFirst(weight))
	}
	return DivScalar(sumRowsFirst(loss), loss.Shape().Size())
}

// sumRowsFirst adds up [N, H, W, C], first each row: a backend that adds one number after another
// would lose digits of float32 over a whole batch.
func sumRowsFirst(x *Node) *Node {
	return ReduceAllSum(ReduceSum(x, 2, 3))
}

// ClassifyLoss compares class scores with labels, as the loss classes of the official code do
// (parity case losses). With p the softmax of the logits at the label, the kinds are
//
//	CrossEntropyLoss  -log p
//	FocalLoss         -(1-p)^gamma * alpha[label] * log p
//
// Unlike the official FocalLoss it can be weighted and takes alpha as a list.
type ClassifyLoss struct {
	// Kind is one of the above.
	Kind string `yaml:"kind"`
	// Weight multiplies the loss; 0 means 1.
	Weight float64 `yaml:"weight,omitempty"`
	// Reduction is "mean" (the default: over the labels that are not ignored, whatever their
	// alpha), "sum", or "none" for one value per label.
	Reduction string `yaml:"reduction,omitempty"`
	// IgnoreIndex is the label of samples that do not count; nil means -100.
	IgnoreIndex *int `yaml:"ignore_index,omitempty"`
	// Alpha has a factor for each class (FocalLoss); empty means 1 for all.
	Alpha []float64 `yaml:"alpha,omitempty"`
	// Gamma is the focal exponent (FocalLoss): the larger, the less do samples count that are
	// already classified well. 0 is cross entropy.
	Gamma float64 `yaml:"gamma,omitempty"`
}

// Validate checks the configuration. Node panics on what this refuses.
func (l ClassifyLoss) Validate() error {
	if !slices.Contains(classifyLossKinds, l.Kind) {
		return unknownKind("classification loss", l.Kind, classifyLossKinds)
	}
	if r := orDefault(l.Reduction, reduceMean); !slices.Contains(reductions, r) {
		return fmt.Errorf("classification loss %s: %w", l.Kind, unknownKind("reduction", r, reductions))
	}
	if l.Kind != lossFocal && (len(l.Alpha) > 0 || l.Gamma != 0) {
		return fmt.Errorf("classification loss %s: alpha and gamma belong to %s; remove them or change the kind", l.Kind, lossFocal)
	}
	for _, v := range append([]float64{l.Weight, l.Gamma}, l.Alpha...) {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("classification loss %s: %v is no valid weight, gamma or alpha; they must not be negative", l.Kind, v)
		}
	}
	return nil
}

// validateScalar is Validate for a loss to minimise, which must be one number.
func (l ClassifyLoss) validateScalar() error {
	if l.Reduction == reduceNone {
		return fmt.Errorf("classification loss %s: reduction %q gives no single number to minimise: choose %q or %q", l.Kind, reduceNone, reduceMean, reduceSum)
	}
	return l.Validate()
}

// Node builds the loss of logits [N, ..., C] against integer labels [N, ...]. It returns a scalar,
// or [N, ...] for the reduction "none", with 0 where the label is ignored. If all labels are
// ignored, the mean is 0. Logits of any size are safe. A label that is neither a class nor ignored
// makes the loss NaN, since a graph cannot return an error.
func (l ClassifyLoss) Node(logits, labels *Node) *Node {
	if err := l.Validate(); err != nil {
		panic(err)
	}
	if logits.Rank() < 2 || !slices.Equal(logits.Shape().Dimensions[:logits.Rank()-1], labels.Shape().Dimensions) {
		panic(fmt.Errorf("classification loss %s: labels %s do not fit logits %s (want [N, ...] and [N, ..., C])", l.Kind, labels.Shape(), logits.Shape()))
	}
	g, dtype, classes := logits.Graph(), logits.DType(), logits.Shape().Dim(-1)
	if len(l.Alpha) > 0 && len(l.Alpha) != classes {
		panic(fmt.Errorf("classification loss %s: alpha has %d values for %d classes", l.Kind, len(l.Alpha), classes))
	}
	ignore := defaultIgnoreIndex
	if l.IgnoreIndex != nil {
		ignore = *l.IgnoreIndex
	}
	labels = ConvertDType(labels, dtypes.Int32)
	counted := NotEqual(labels, Scalar(g, dtypes.Int32, ignore))

	oneHot := OneHot(labels, classes, dtype)
	isLabel := GreaterThan(oneHot, ScalarZero(g, dtype))
	logP := LogSoftmax(logits, -1)
	// Where, not a product: an infinite log p of another class must not become NaN.
	loss := focal(ReduceSum(Where(isLabel, logP, ZerosLike(logP)), -1), l.Gamma)
	if len(l.Alpha) > 0 {
		alpha := ExpandLeftToRank(ConstAs(logits, l.Alpha), oneHot.Rank())
		loss = Mul(loss, ReduceSum(Mul(oneHot, alpha), -1))
	}
	isClass := GreaterThan(ReduceSum(oneHot, -1), ScalarZero(g, dtype))
	loss = Where(isClass, loss, MulScalar(OnesLike(loss), math.NaN()))
	loss = Where(counted, loss, ZerosLike(loss))
	return MulScalar(reduceCounted(loss, counted, orDefault(l.Reduction, reduceMean)), orDefault(l.Weight, 1))
}

// focal is -(1-p)^gamma * log p for logP <= 0, with its derivative by hand: the automatic one is
// infinity times zero where p rounds to 1 and gamma < 1.
func focal(logP *Node, gamma float64) *Node {
	if gamma == 0 {
		return Neg(logP)
	}
	x := StopGradient(logP)
	p, q := Exp(x), Neg(Expm1(x)) // q = 1-p
	// log(p)/(1-p), which tends to -1 where p tends to 1.
	isOne := LessOrEqual(q, ScalarZero(q.Graph(), q.DType()))
	ratio := Where(isOne, MulScalar(OnesLike(q), -1), Div(x, Where(isOne, OnesLike(q), q)))
	scale := PowScalar(q, gamma)
	value := Neg(Mul(scale, x))
	slope := Mul(scale, MinusOne(MulScalar(Mul(p, ratio), gamma)))
	// Adds zero to the value, and the slope to the gradient.
	return Add(value, Mul(slope, Sub(logP, x)))
}

// reduceCounted reduces losses that are 0 where counted is false; the mean is over the others.
func reduceCounted(loss, counted *Node, reduction string) *Node {
	switch reduction {
	case reduceNone:
		return loss
	case reduceSum:
		return ReduceAllSum(loss)
	}
	n := ReduceAllSum(ConvertDType(counted, loss.DType()))
	return Div(ReduceAllSum(loss), Max(n, ScalarOne(loss.Graph(), loss.DType())))
}

// orDefault returns v, or the default if v is the zero value.
func orDefault[T comparable](v, value T) T {
	var zero T
	if v == zero {
		return value
	}
	return v
}

// unknownKind is the error for a name that is not in the list.
func unknownKind(what, got string, known []string) error {
	if got == "" {
		return fmt.Errorf("%s: the kind is missing; choose one of %s", what, strings.Join(known, ", "))
	}
	return suggest.Unknown(what, got, known)
}
