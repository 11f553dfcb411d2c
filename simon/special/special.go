// Package special has the functions that statistics need beyond the four operations: exponential, logarithm, gamma
// function, and the tails and quantiles of the normal, t, chi-square and F distributions.
//
// All of it is arithmetic on big.Float, whose operations round correctly, so that every platform gives the same bits.
// No step goes through float64: the functions of package math differ between processors in the last place, and a
// difference of that kind between two parties would look like a false result. Tables of float64 coefficients, the usual
// way, were rejected for that reason and because their 16 digits leave nothing for deep tails.
//
// Conventions for every function of the package:
//   - Arguments are exact, may have any precision, and are never modified. They are finite, but the z, t, x of a tail
//     and the argument of Exp may be infinite. Results are fresh and have precision Prec.
//   - Inside, numbers have 384 bits. Elementary functions are right to at least 70 significant digits, distribution
//     functions to at least 50 for shape parameters and degrees of freedom from 1e-6 to 1e12 and for tails down to
//     10^-100000; a tail is computed as such, never as one minus the other tail where that would cost digits.
//   - Arguments outside the domain that a comment states are a mistake of the program, and the function panics, as
//     math/big does. Callers check what comes from outside before.
//
// Sections in comments are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov (DLMF).
package special

import (
	"fmt"
	"math"
	"math/big"
)

// Prec is the precision of results, in bits.
const Prec = 256

// work is the precision of intermediate values, in bits. What it has over Prec pays for cancellation: sums of logarithms
// of the size a·log(a) cost about 45 bits for a = 1e12, tails taken as one minus the other cost at most about 45.
const work = 384

// goal is where sums and continued fractions end: the last change is below 2^-goal of the value.
const goal = 320

// New returns x, which must not be NaN.
func New(x float64) *big.Float { return float().SetFloat64(x).SetPrec(Prec) }

// FromRat returns r rounded once.
func FromRat(r *big.Rat) *big.Float { return new(big.Float).SetPrec(Prec).SetRat(r) }

// Int returns n.
func Int(n int64) *big.Float { return new(big.Float).SetPrec(Prec).SetInt64(n) }

// Float64 returns the float64 that is nearest to x, and false if that is infinite. What is too small becomes zero.
func Float64(x *big.Float) (float64, bool) {
	f, _ := x.Float64()
	return f, !math.IsInf(f, 0)
}

var (
	one  = small(1)
	two  = small(2)
	half = new(big.Float).SetMantExp(one, -1)
)

// small returns n exactly, with the few bits that it needs.
func small(n int64) *big.Float { return new(big.Float).SetPrec(64).SetInt64(n) }

// float returns a zero with the inner precision.
func float() *big.Float { return new(big.Float).SetPrec(work) }

// round makes a result of an inner value.
func round(x *big.Float) *big.Float { return new(big.Float).SetPrec(Prec).Set(x) }

// add returns x+y. It leaves out what is too small to count, because big.Float would line up the bits of 1 and a tail of
// 10^-100000000 first.
func add(x, y *big.Float) *big.Float {
	switch difference := exponent(x) - exponent(y); {
	case difference > 2*work:
		return float().Set(x)
	case difference < -2*work:
		return float().Set(y)
	}
	return float().Add(x, y)
}

// sub returns x-y, as add does x+y.
func sub(x, y *big.Float) *big.Float { return add(x, new(big.Float).Neg(y)) }

func mul(x, y *big.Float) *big.Float { return float().Mul(x, y) }
func quo(x, y *big.Float) *big.Float { return float().Quo(x, y) }
func neg(x *big.Float) *big.Float    { return float().Neg(x) }

// scale returns x·2^k.
func scale(x *big.Float, k int) *big.Float { return float().SetMantExp(x, k) }

// exponent is the e of |x| in [2^(e-1), 2^e), for finite x; that of zero is far below all others. It is no int, so that
// differences are the same where that has 32 bits.
func exponent(x *big.Float) int64 {
	if x.Sign() == 0 {
		return math.MinInt64 / 4
	}
	return int64(x.MantExp(nil))
}

// negligible says whether x is below 2^-goal of y, or both are zero.
func negligible(x, y *big.Float) bool { return x.Sign() == 0 || exponent(x) < exponent(y)-goal }

// positive panics if x is not a finite number above zero: every function says so of these arguments.
func positive(function, argument string, x *big.Float) {
	if x.Sign() <= 0 || x.IsInf() {
		panic(fmt.Sprintf("special.%s: %s is not a positive number", function, argument))
	}
}
