"""Writes the vectors beside it: python make.py, with mpmath 1.4.1.

A line is a function, its arguments, which are float64 and exact, and the value with 50 significant digits.
"""
import itertools
import os
import sys

from mpmath import mp, mpf

mp.dps = 80
HERE = os.path.dirname(os.path.abspath(__file__))


def beta_tail(a, b, x, y):
    """I_x(a, b) for the side of the mean on which x is; by quadrature of the density where the series is too long."""
    if x > a / (a + b):
        return 1 - beta_tail(b, a, y, x)
    if max(a, b) <= 2000:
        return mp.betainc(a, b, 0, x, regularized=True)
    log_x, log_y = mp.log(x), mp.log(y)
    front = mp.exp(a * log_x + b * log_y + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b))
    return front * decay(lambda v: mp.exp(-a * v - (a + b) * mp.log1p(x * mp.expm1(-v))))


def decay(f):
    """The integral from 0 of a falling function with f(0) = 1, in pieces until nothing is left."""
    unit = mpf(1)
    while f(unit) < mpf(1) / 2:
        unit /= 2
    while f(unit) > mpf(1) / 2:
        unit *= 2
    points = [mpf(0)]
    while f(points[-1]) > mpf(10) ** -75:
        points.append(points[-1] + unit * max(1, len(points) / mpf(3)))
    return mp.quad(f, points)


def student(t, df):
    if t < 0:
        return 1 - student(-t, df)
    return beta_tail(df / 2, mpf(1) / 2, df / (df + t * t), t * t / (df + t * t)) / 2


def f_upper(x, d1, d2):
    return beta_tail(d2 / 2, d1 / 2, d2 / (d2 + d1 * x), d1 * x / (d2 + d1 * x))


def gamma_tail(a, x, upper):
    if (x > a) != upper:
        return 1 - gamma_tail(a, x, not upper)
    if a <= 2000:
        if upper:
            return mp.gammainc(a, x, mp.inf, regularized=True)
        return mp.gammainc(a, 0, x, regularized=True)
    front = mp.exp(a * mp.log(x) - x - mp.loggamma(a))
    sign = 1 if upper else -1
    return front * decay(lambda v: mp.exp(sign * a * v - x * mp.expm1(sign * v)))


def normal_upper(z):
    return mp.erfc(z / mp.sqrt(2)) / 2


def quantile(p, upper):
    """The x with 1 - upper(x) = p, by bisection in the logarithm and then the secant method."""
    if p == mpf(1) / 2:
        return mpf(0)
    tail = min(p, 1 - p)
    low, high = mpf(2) ** -80, mpf(2)
    with mp.workdps(30):
        while upper(high) > tail:
            low, high = high, high * high
        while high / low > mpf("1.001"):
            middle = mp.sqrt(low * high)
            low, high = (middle, high) if upper(middle) > tail else (low, middle)
    x = mp.findroot(lambda x: mp.log(upper(x)) - mp.log(tail), (low, high), tol=mpf(10) ** -140, maxsteps=60)
    return x if p > mpf(1) / 2 else -x


def elementary():
    xs = [1e-300, 3e-60, 1e-20, 1e-5, 0.1, 0.25, 0.5, 0.6931471805599453, 0.7, 0.999999, 1.0, 1.000001, 1.4142135623730951,
          1.5, 2.0, 2.718281828459045, 3.3, 10.0, 97.0, 700.25, 12345.678, 1e6, 3e8]
    for x in xs:
        if x <= 1e6:
            yield "Exp", (x,), mp.exp
            yield "Exp", (-x,), mp.exp
            yield "Expm1", (x,), mp.expm1
            yield "Expm1", (-x,), mp.expm1
        yield "Log", (x,), mp.log
        yield "Log1p", (x,), mp.log1p
        if x < 1:
            yield "Log1p", (-x,), mp.log1p
        yield "Sqrt", (x,), mp.sqrt
        yield "LogGamma", (x,), lambda x: mp.loggamma(x)
    for x in (1e100, 1e300, 1 - 2.0**-53, 1 + 2.0**-52, 0.70710678, 1.9921875):
        yield "Log", (x,), mp.log
    for x in (2.5, 4.0, 20.5, 95.9, 96.0, 96.1, 150.3, 5e8, 5e8 + 0.5, 1e12, 1e15):
        yield "LogGamma", (x,), lambda x: mp.loggamma(x)
    for x, y in itertools.product((0.001, 0.5, 2.0, 7.25), (-300.5, -1.0, 0.5, 3.0, 1000.1)):
        yield "Pow", (x, y), mp.power


def normal():
    for z in (0.0, 1e-20, 1e-6, 0.1, 0.5, 1.0, 1.6448536, 1.96, 2.5758, 3.0, 4.5, 5.8, 5.9, 6.0, 8.0, 12.0, 20.0, 33.75, 38.0,
              100.0, 400.0):
        yield "NormalUpper", (z,), normal_upper
        if z:
            yield "NormalUpper", (-z,), normal_upper
    for p in (1e-300, 1e-250, 1e-100, 1e-30, 1e-16, 1e-8, 1e-4, 0.005, 0.025, 0.05, 0.1, 0.25, 0.3, 0.45, 0.4999999, 0.5,
              0.5000001, 0.6, 0.75, 0.9, 0.95, 0.975, 0.995, 0.9999, 1 - 2.0**-53):
        yield "NormalQuantile", (p,), lambda p: quantile(p, normal_upper)


def student_t():
    for df in (1e-6, 0.01, 0.5, 1.0, 2.0, 2.7, 5.0, 17.3, 100.0, 998.6, 1e4, 1e6, 1e9, 1e12):
        for t in (1e-9, 0.01, 0.3, 1.0, 1.7, 1.74, 1.96, 2.6, 5.0, 12.3, 45.0, 1e3, 1e12):
            if df < 1e6 or t <= 1e3:
                yield "StudentUpper", (t, df), student
        yield "StudentUpper", (-1.3, df), student
    for df in (0.5, 1.0, 2.7, 12.0, 100.5):
        for p in (1e-250, 1e-12, 0.025, 0.2, 0.4, 0.5000001, 0.7, 0.95, 0.995):
            yield "StudentQuantile", (p, df), lambda p, df: quantile(p, lambda t: student(t, df))


def chi_square():
    for df in (1e-6, 0.01, 0.5, 1.0, 2.0, 2.7, 9.0, 31.4, 100.0, 1001.0, 1e5, 1e6, 2e6, 1e9, 1e12):
        for ratio in (1e-3, 0.5, 0.9, 0.999, 1.0, 1.001, 1.1, 1.5, 4.0, 11.5):
            if df < 1e7 or ratio <= 1.1 and df < 1e10 or 0.99 < ratio < 1.1:
                yield "ChiSquareUpper", (df * ratio, df), lambda x, df: gamma_tail(df / 2, x / 2, True)
    for x in (1.0, 35.0, 1200.0):
        yield "ChiSquareUpper", (x, 1.0), lambda x, df: gamma_tail(df / 2, x / 2, True)
    for a, x in itertools.product((0.1, 1.0, 3.7, 50.0, 3000.0, 7e5), (0.02, 0.7, 1.0, 1.3, 3.0)):
        yield "GammaIncRegLower", (a, a * x), lambda a, x: gamma_tail(a, x, False)
        yield "GammaIncRegUpper", (a, a * x), lambda a, x: gamma_tail(a, x, True)


def f_and_beta():
    for d1, d2 in ((1, 1), (1, 7.5), (3, 2.7), (5, 1000), (1000, 5), (0.5, 0.5), (2, 1e6), (30.3, 40), (300, 500), (1e5, 1e5),
                   (3e5, 2e5), (2e6, 1e6), (1e9, 1e9), (7, 1e9), (1e9, 7),
                   (1e-6, 1e-6), (1e-6, 3), (3, 1e-6), (1e-6, 1e9), (1e9, 1e-6), (1e12, 1e12), (1e5, 1e12)):
        for x in (1e-3, 0.4, 0.99, 1.0, 1.02, 1.5, 6.0, 900.0):
            if max(d1, d2) > 1e7 and not 0.9 < x < 2 or min(d1, d2) > 1e10 and x != 1:
                continue
            yield "FUpper", (x, d1, d2), f_upper
    for a, b in ((0.5, 0.5), (2.0, 3.0), (0.01, 20.0), (20.0, 0.01), (600.5, 3.25), (1e5, 2e5)):
        for x in (2.0**-40, 0.001, 0.25, 0.333, 0.5, 0.75, 0.999):
            yield "BetaIncReg", (a, b, x), lambda a, b, x: beta_tail(a, b, x, 1 - x)


def main():
    for name, rows in (("elementary", elementary), ("normal", normal), ("student", student_t), ("chisquare", chi_square),
                       ("beta", f_and_beta)):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        with open(os.path.join(HERE, name + ".txt"), "w") as out:
            for function, arguments, f in rows():
                value = f(*(mpf(float(x)) for x in arguments))
                text = " ".join(repr(float(x)) for x in arguments)
                out.write(f"{function} {text} {mp.nstr(value, 50, min_fixed=0, max_fixed=0)}\n")
                out.flush()


if __name__ == "__main__":
    main()
