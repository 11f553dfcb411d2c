# Writes the *.json beside this file: data sets that R carries, and what R makes of them. README.md says how to run it.
# Only R itself and the package survival are needed.

library(survival)

# ---- JSON: numbers in the shortest decimal text of at most 17 digits that reads back as the same double ----

number <- function(x) {
  if (is.logical(x) && !is.na(x)) return(if (x) "true" else "false")
  if (is.na(x)) return("null") # NA and NaN: R has no value here
  if (is.infinite(x)) return(if (x > 0) "\"Inf\"" else "\"-Inf\"")
  if (x == 0) return("0")
  for (d in 15:17) {
    s <- sprintf("%.*g", d, x)
    if (as.numeric(s) == x) break
  }
  s
}
scalar <- function(x) if (is.character(x)) encodeString(x, quote = "\"") else number(x)
list_of <- function(x) structure(list(x), class = "json_array") # a vector that is an array even when it has one element

inline <- function(x) {
  if (inherits(x, "json_array")) paste0("[", paste(vapply(unclass(x)[[1]], scalar, ""), collapse = ","), "]")
  else if (is.null(x)) "null"
  else if (is.matrix(x)) paste0("[", paste(apply(x, 1, function(r) inline(list_of(unname(r)))), collapse = ","), "]")
  else if (is.list(x) || !is.null(names(x)))
    paste0("{", paste0("\"", names(x), "\":", vapply(as.list(x), inline, ""), collapse = ","), "}")
  else if (length(x) == 1) scalar(x)
  else inline(list_of(x))
}

# Rows of a data frame become arrays, one a line.
rows <- function(d) {
  cells <- lapply(unname(as.list(d)), function(v) vapply(if (is.factor(v)) as.character(v) else v, scalar, ""))
  paste0("[\n  ", paste0("[", do.call(paste, c(cells, sep = ",")), "]", collapse = ",\n  "), "\n ]")
}
block <- function(x) { # a value of the top level
  if (is.data.frame(x)) return(rows(x))
  if (is.matrix(x)) return(rows(as.data.frame(x)))
  if (is.list(x) && !inherits(x, "json_array")) {
    records <- vapply(x, function(r) if (is.data.frame(r)) rows(r) else inline(r), "")
    if (is.null(names(x))) return(paste0("[\n  ", paste(records, collapse = ",\n  "), "\n ]"))
    return(paste0("{\n  ", paste0("\"", names(x), "\":", records, collapse = ",\n  "), "\n }"))
  }
  inline(x)
}
# What is 0 but for R's rounding is written as 0; scale is the size of the numbers that it comes from.
zero <- function(x, scale) ifelse(abs(x) < 1e-14 * scale, 0, x)

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
here <- if (length(here)) dirname(here) else "."
write <- function(.name, ...) { # the dots keep R from taking n = ... for a shortened name
  x <- list(...)
  text <- paste0("{\n ", paste0("\"", names(x), "\":", vapply(x, block, ""), collapse = ",\n "), "\n}\n")
  writeLines(text, file.path(here, paste0(.name, ".json")), sep = "")
}
# The data as given to R: columns and rows.
given <- function(d) list(columns = list_of(names(d)), data = d)
write_with <- function(.name, .source, .data, ...) do.call(write, c(list(.name, source = .source), given(.data), list(...)))

# ---- survival ----

curve <- function(time, status, fit_formula, d) {
  loglog <- survfit(fit_formula, data = d, conf.type = "log-log")
  plain <- survfit(fit_formula, data = d, conf.type = "plain")
  strata <- rep(names(loglog$strata), loglog$strata)
  q <- quantile(loglog, 0.5)
  p <- quantile(plain, 0.5)
  summaries <- summary(loglog)$table
  groups <- lapply(seq_along(loglog$strata), function(g) list(
    group = sub(".*=", "", names(loglog$strata)[g]), n = loglog$n[g], events = unname(summaries[g, "events"]),
    median = unname(q$quantile[g]), lower = unname(q$lower[g]), upper = unname(q$upper[g]),
    lower.plain = unname(p$lower[g]), upper.plain = unname(p$upper[g])))
  steps <- data.frame(
    group = sub(".*=", "", strata), time = loglog$time, n.risk = loglog$n.risk, n.event = loglog$n.event, n.censor = loglog$n.censor,
    surv = loglog$surv, std.err.surv = loglog$surv * loglog$std.err, std.err.log.surv = loglog$std.err,
    cumhaz = loglog$cumhaz, std.err.cumhaz = loglog$std.chaz,
    lower.log.log = loglog$lower, upper.log.log = loglog$upper, lower.plain = plain$lower, upper.plain = plain$upper)
  list(groups = groups, curve.columns = list_of(names(steps)), curve = steps)
}
logrank <- function(fit, groups) {
  observed <- as.matrix(fit$obs) # a column for each stratum
  expected <- as.matrix(fit$exp)
  df <- sum(rowSums(expected) > 0) - 1
  list(groups = list_of(groups), n = list_of(as.vector(rowsum(as.vector(fit$n), rep(seq_along(groups), length.out = length(fit$n))))),
    observed = list_of(unname(rowSums(observed))), expected = list_of(unname(rowSums(expected))), var = unname(fit$var),
    chisq = fit$chisq, df = df, p.value = pchisq(fit$chisq, df, lower.tail = FALSE))
}
of_lung <- lung[, c("time", "status", "sex", "ph.ecog")]
d <- of_lung[, 1:3]
do.call(write_with, c(
  list("lung-sex", "survival::lung; survfit(Surv(time, status == 2) ~ sex), survdiff(Surv(time, status == 2) ~ sex)", d),
  curve(fit_formula = Surv(time, status == 2) ~ sex, d = d),
  list(survdiff = logrank(survdiff(Surv(time, status == 2) ~ sex, data = d), c("1", "2")))))
d <- of_lung[!is.na(of_lung$ph.ecog), ]
write_with("lung-sex-strata",
  "survival::lung without the one row where ph.ecog is NA; survdiff(Surv(time, status == 2) ~ sex + strata(ph.ecog))", d,
  survdiff = {
    fit <- survdiff(Surv(time, status == 2) ~ sex + strata(ph.ecog), data = d)
    logrank(fit, c("1", "2"))
  },
  strata = list_of(c("0", "1", "2", "3")), observed.by.stratum = unname(fit$obs), expected.by.stratum = unname(fit$exp))
d <- of_lung[of_lung$ph.ecog %in% 0:2, c("time", "status", "ph.ecog")]
do.call(write_with, c(
  list("lung-ecog", "survival::lung where ph.ecog is 0, 1 or 2; survfit(Surv(time, status == 2) ~ ph.ecog), survdiff of the same", d),
  curve(fit_formula = Surv(time, status == 2) ~ ph.ecog, d = d),
  list(survdiff = logrank(survdiff(Surv(time, status == 2) ~ ph.ecog, data = d), c("0", "1", "2")))))

# ---- generalised linear models ----

generalised <- function(formula, family, d) {
  # The covariances that glm returns belong to the weights before the last step and have as few as 9 digits. Started again
  # from the solution, the weights are those of the solution.
  precise <- glm.control(epsilon = 1e-14, maxit = 100)
  first <- glm(formula, family, d, control = precise)
  fit <- do.call(glm, list(formula, family, d, start = coef(first), control = precise))
  stopifnot(first$converged, fit$converged)
  table <- cbind(summary(fit)$coefficients, confint.default(fit))
  list(
    coefficients = lapply(seq_len(nrow(table)), function(i) list(
      term = rownames(table)[i], estimate = table[i, 1], std.error = table[i, 2], z = table[i, 3], p.value = table[i, 4],
      lower = table[i, 5], upper = table[i, 6], exp.estimate = exp(table[i, 1]), exp.lower = exp(table[i, 5]), exp.upper = exp(table[i, 6]))),
    vcov = zero(unname(vcov(fit)), max(abs(vcov(fit)))), deviance = fit$deviance, df.residual = fit$df.residual, null.deviance = fit$null.deviance, df.null = fit$df.null,
    aic = fit$aic, logLik = as.numeric(logLik(fit)), iterations = first$iter)
}
control <- "control = glm.control(epsilon = 1e-14, maxit = 100)) and again with start = its coefficients"
model <- function(name, source, formula, family, d)
  do.call(write_with, c(list(name, paste0(source, "; glm(", deparse1(formula), ", ", family$family, ", ", control), d), generalised(formula, family, d)))
model("glm-infert", "datasets::infert", case ~ spontaneous + induced, binomial(), infert[, c("case", "spontaneous", "induced")])
model("glm-infert-4", "datasets::infert", case ~ spontaneous + induced + age + parity, binomial(),
  infert[, c("case", "spontaneous", "induced", "age", "parity")])
model("glm-warpbreaks", "datasets::warpbreaks, wool and tension as 0 and 1", breaks ~ woolB + tensionM + tensionH, poisson(), with(warpbreaks,
  data.frame(breaks, woolB = as.integer(wool == "B"), tensionM = as.integer(tension == "M"), tensionH = as.integer(tension == "H"))))
model("glm-offset", "made up: cases in person-years of exposure", cases ~ age + smoker + offset(log(exposure)), poisson(), data.frame(
  cases = c(2, 5, 12, 21, 3, 9, 18, 40, 0, 7, 15, 4), exposure = c(1200.5, 1850, 2410.25, 1990, 980, 2105.5, 2300, 3120.75, 640, 1500, 1475.5, 2020),
  age = c(0, 1, 2, 3, 0, 1, 2, 3, 0, 2, 3, 0), smoker = c(0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0)))

# ---- linear models ----

d <- mtcars[, c("mpg", "wt", "hp", "qsec")]
fit <- lm(mpg ~ wt + hp + qsec, d)
s <- summary(fit)
table <- cbind(s$coefficients, confint(fit))
write_with("lm-mtcars", "datasets::mtcars; lm(mpg ~ wt + hp + qsec)", d,
  coefficients = lapply(seq_len(nrow(table)), function(i) list(
    term = rownames(table)[i], estimate = table[i, 1], std.error = table[i, 2], t = table[i, 3], p.value = table[i, 4], lower = table[i, 5], upper = table[i, 6])),
  vcov = unname(vcov(fit)), sigma = s$sigma, df.residual = fit$df.residual, r.squared = s$r.squared, adj.r.squared = s$adj.r.squared,
  fstatistic = s$fstatistic[[1]], fstatistic.df = unname(s$fstatistic[2:3]), fstatistic.p.value = unname(pf(s$fstatistic[1], s$fstatistic[2], s$fstatistic[3], lower.tail = FALSE)),
  rss = deviance(fit))
# (X'X + lambda P)^-1 X'y is the least squares solution of X with sqrt(lambda) P below it; that form loses fewer digits.
x <- cbind(1, as.matrix(d[, -1]))
y <- d$mpg
penalty <- diag(c(0, 1, 1, 1))
ridge <- function(lambda) {
  b <- unname(qr.coef(qr(rbind(x, sqrt(lambda) * penalty)), c(y, 0, 0, 0, 0)))
  stopifnot(all.equal(b, as.vector(solve(crossprod(x) + lambda * penalty, crossprod(x, y))), tolerance = 1e-10))
  list(lambda = lambda, coefficients = list_of(b), rss = sum((y - x %*% b)^2))
}
write_with("ridge-mtcars", "datasets::mtcars; solve(X'X + lambda P, X'y), P = diag(0, 1, 1, 1): raw columns, the intercept is not penalised", d,
  terms = list_of(c("(Intercept)", "wt", "hp", "qsec")), ridge = lapply(c(0, 0.5, 1, 10, 1000), ridge))

# ---- t tests ----

alternatives <- c("two.sided", "less", "greater")
t_tests <- function(f) lapply(alternatives, function(a) {
  r <- f(a)
  list(alternative = a, statistic = r$statistic[[1]], parameter = r$parameter[[1]], p.value = r$p.value, conf.int = list_of(as.vector(r$conf.int)),
    estimate = list_of(unname(r$estimate)), stderr = r$stderr, null.value = r$null.value[[1]])
})
first <- sleep$extra[sleep$group == 1]
second <- sleep$extra[sleep$group == 2]
write_with("t-one", "datasets::sleep; t.test(extra, mu = 0.5)", sleep["extra"],
  tests = t_tests(function(a) t.test(sleep$extra, mu = 0.5, alternative = a)))
write_with("t-welch", "datasets::sleep; t.test(extra of group 1, extra of group 2)", sleep[, c("extra", "group")],
  tests = t_tests(function(a) t.test(first, second, alternative = a)))
write_with("t-pooled", "datasets::sleep; t.test(extra of group 1, extra of group 2, var.equal = TRUE)", sleep[, c("extra", "group")],
  tests = t_tests(function(a) t.test(first, second, var.equal = TRUE, alternative = a)))
write_with("t-paired", "datasets::sleep; t.test(first, second, paired = TRUE)", data.frame(first, second),
  tests = t_tests(function(a) t.test(first, second, paired = TRUE, alternative = a)))

# ---- one way ----

by_group <- function(x, g) lapply(levels(g), function(l) {
  v <- x[g == l]
  half <- qt(0.975, length(v) - 1) * sd(v) / sqrt(length(v))
  list(group = l, n = length(v), mean = mean(v), var = var(v), sd = sd(v), lower = mean(v) - half, upper = mean(v) + half)
})
variance_table <- function(fit) {
  a <- anova(fit)
  list(df = list_of(a$Df), sum.sq = list_of(a$`Sum Sq`), mean.sq = list_of(a$`Mean Sq`), f = a$`F value`[1], p.value = a$`Pr(>F)`[1])
}
one_way <- function(name, d) {
  x <- d[[1]]
  g <- d[[2]]
  w <- oneway.test(x ~ g)
  write_with(name, paste0("datasets; aov(", names(d)[1], " ~ ", names(d)[2], "), oneway.test, Levene's test as anova(lm(abs(x - mean of its group) ~ group))"), d,
    groups = by_group(x, g), aov = variance_table(aov(x ~ g)),
    welch = list(f = w$statistic[[1]], df = unname(w$parameter), p.value = w$p.value), levene = variance_table(lm(abs(x - ave(x, g)) ~ g)))
}
one_way("oneway-plantgrowth", PlantGrowth)
one_way("oneway-insectsprays", InsectSprays)
write_with("means-chickwts", "datasets::chickwts; weight by feed, 95 percent t intervals of the means", chickwts, groups = by_group(chickwts$weight, chickwts$feed))

# ---- tables of counts: data are the counts, a row of the table in a line ----

pearson <- function(m, correct) {
  r <- suppressWarnings(chisq.test(m, correct = correct))
  statistic <- zero(r$statistic[[1]], 1)
  list(statistic = statistic, parameter = r$parameter[[1]], p.value = pchisq(statistic, r$parameter[[1]], lower.tail = FALSE))
}
cells <- function(m) matrix(as.vector(m), nrow(m)) # neither a table, which R would write as one long column, nor names
counts <- function(m) list(data = cells(m))
chi_squared <- function(name, source, m) {
  r <- suppressWarnings(chisq.test(m, correct = FALSE))
  v <- sqrt(r$statistic[[1]] / (sum(m) * (min(dim(m)) - 1)))
  do.call(write, c(list(name, source = source), counts(m), list(uncorrected = pearson(m, FALSE)), if (all(dim(m) == 2)) list(corrected = pearson(m, TRUE)),
    list(expected = cells(r$expected), residuals = cells(r$residuals), cramers.v = v)))
}
hair_sex <- margin.table(HairEyeColor, c(1, 3))[c("Black", "Blond"), ]
chi_squared("chisq-2x2", "datasets::HairEyeColor, hair Black and Blond by sex; chisq.test with and without correction; residuals are Pearson's", hair_sex)
chi_squared("chisq-2x2-even", "made up, observed less than 0.5 from expected, so that the correction is cut; chisq.test", matrix(c(10, 11, 20, 21), 2))
chi_squared("chisq-3x3", "datasets::HairEyeColor, hair Black, Brown, Red by eye Brown, Blue, Hazel; chisq.test", margin.table(HairEyeColor, c(1, 2))[1:3, 1:3])
fit_of <- function(x, p) {
  r <- suppressWarnings(chisq.test(x, p = p))
  list(p = list_of(p), statistic = r$statistic[[1]], parameter = r$parameter[[1]], p.value = r$p.value, expected = list_of(unname(r$expected)),
    residuals = list_of(unname(r$residuals)))
}
x <- c(89, 37, 30, 28, 2)
write("chisq-gof", source = "help page of chisq.test; chisq.test(data, p = p)", data = list_of(x), tests = list(fit_of(x, c(0.40, 0.20, 0.20, 0.15, 0.05)), fit_of(x, rep(0.2, 5))))

# fisher.test finds the estimate and the limits with uniroot's default tolerance, which leaves three or four digits
# (r.estimate, r.conf.int). The same code with a tighter uniroot gives the digits that the formulas have (estimate, conf.int).
fine_fisher <- fisher.test
environment(fine_fisher) <- list2env(list(uniroot = function(...) stats::uniroot(..., tol = 1e-16, maxiter = 10000)), parent = environment(fisher.test))
exact <- function(name, source, m)
  do.call(write, c(list(name, source = source), counts(m), list(tests = lapply(alternatives, function(a) {
    r <- fisher.test(m, alternative = a)
    fine <- fine_fisher(m, alternative = a)
    stopifnot(r$p.value == fine$p.value)
    list(alternative = a, p.value = r$p.value, estimate = fine$estimate[[1]], conf.int = list_of(as.vector(fine$conf.int)),
      r.estimate = r$estimate[[1]], r.conf.int = list_of(as.vector(r$conf.int)))
  }))))
exact("fisher-tea", "help page of fisher.test, Fisher's tea drinker; fisher.test", matrix(c(3, 1, 1, 3), 2))
exact("fisher-skewed", "help page of fisher.test, criminal like-sex twins; fisher.test", matrix(c(2, 10, 15, 3), 2))
exact("fisher-zero", "made up, with an empty cell; fisher.test", matrix(c(0, 7, 9, 4), 2))
write("fisher-job", source = "help page of fisher.test, job satisfaction (Agresti 2002, p. 57); fisher.test", data = as.data.frame(
  matrix(c(1, 2, 1, 0, 3, 3, 6, 1, 10, 10, 14, 9, 6, 7, 12, 11), 4)),
  p.value = fisher.test(matrix(c(1, 2, 1, 0, 3, 3, 6, 1, 10, 10, 14, 9, 6, 7, 12, 11), 4))$p.value)

# ---- correlation, histogram, one and two variables ----

d <- mtcars[, c("mpg", "wt", "hp")]
pairs <- combn(names(d), 2, simplify = FALSE)
write_with("cor-mtcars", "datasets::mtcars; cor, cov, cor.test", d, cor = unname(cor(d)), cov = unname(cov(d)), tests = lapply(pairs, function(p) {
  r <- cor.test(d[[p[1]]], d[[p[2]]])
  list(x = p[1], y = p[2], estimate = r$estimate[[1]], statistic = r$statistic[[1]], parameter = r$parameter[[1]], p.value = r$p.value, conf.int = as.vector(r$conf.int))
}))

histogram <- function(breaks, right) {
  h <- hist(faithful$eruptions, breaks, right = right, plot = FALSE)
  list(breaks = list_of(breaks), right = right, include.lowest = TRUE, counts = list_of(h$counts), density = list_of(h$density))
}
write_with("hist-faithful", "datasets::faithful; hist(eruptions, breaks, right); the outermost class holds both of its limits (include.lowest)", faithful["eruptions"],
  histograms = list(histogram(seq(1.5, 5.25, 0.25), TRUE), histogram(seq(1.5, 5.25, 0.25), FALSE),
    histogram(c(1.6, 1.75, 2, 3, 4, 5.1), TRUE), histogram(c(1.6, 1.75, 2, 3, 4, 5.1), FALSE)))

x <- faithful$waiting
m <- function(k) mean((x - mean(x))^k)
write_with("univariate-waiting", "datasets::faithful; waiting; m2 to m6 are central moments with denominator n, var and sd have n - 1, cv = sd / mean", faithful["waiting"],
  n = length(x), sum = sum(x), min = min(x), max = max(x), mean = mean(x), var = var(x), sd = sd(x), se = sd(x) / sqrt(length(x)), cv = sd(x) / mean(x),
  m2 = m(2), m3 = m(3), m4 = m(4), m5 = m(5), m6 = m(6), skewness = m(3) / m(2)^1.5, kurtosis = m(4) / m(2)^2, standardised.5 = m(5) / m(2)^2.5,
  standardised.6 = m(6) / m(2)^3, geometric.mean = exp(mean(log(x))), harmonic.mean = 1 / mean(1 / x))
# The probabilities are decimals, as parameters are; R's quantile takes n*p for a whole number within 4 eps.
quantiles <- function(x) {
  p <- c(0, 0.008, 0.1, 0.125, 0.142857, 0.25, 0.333333, 0.5, 0.6, 0.75, 0.857143, 0.9, 0.999999, 1)
  c(list(probabilities = list_of(p)), setNames(lapply(c(1, 2, 6, 7), function(k) list_of(unname(quantile(x, p, type = k)))), paste0("type", c(1, 2, 6, 7))),
    setNames(lapply(c(1, 2, 6, 7), function(k) IQR(x, type = k)), paste0("iqr", c(1, 2, 6, 7))))
}
write_with("quantiles-rivers", "datasets::rivers, 141 lengths; quantile and IQR of types 1, 2, 6 and 7", data.frame(rivers), n = length(rivers), median = median(rivers), quantiles = quantiles(rivers))
write_with("quantiles-eruptions", "datasets::faithful; eruptions, 272; quantile and IQR of types 1, 2, 6 and 7", faithful["eruptions"], n = nrow(faithful), median = median(faithful$eruptions), quantiles = quantiles(faithful$eruptions))
fit <- lm(waiting ~ eruptions, faithful)
write_with("bivariate-faithful", "datasets::faithful; x = eruptions, y = waiting; cov, cor, lm(y ~ x), lm(y ~ x - 1)", setNames(faithful, c("x", "y")),
  n = nrow(faithful), cov = cov(faithful$eruptions, faithful$waiting), cor = cor(faithful$eruptions, faithful$waiting), slope = coef(fit)[[2]], intercept = coef(fit)[[1]],
  slope.origin = coef(lm(waiting ~ eruptions - 1, faithful))[[1]])
