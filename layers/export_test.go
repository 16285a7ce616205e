package layers

// NormConv is Norm.conv, for tests outside of the package.
var NormConv = Norm.conv
