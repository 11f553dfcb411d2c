package simon

// Catalogue lists the microprotocols, one per line.
func Catalogue() []Microprotocol {
	return []Microprotocol{
		SecureSum(),
		SecureMean(),
		SecureCompare(),
		MinimumMaximum(),
		KthElement(),
		SecureMedian(),
		SecureQuantiles(),
		SecureTopK(),
		SecureMatrixMultiplication(),
		StatisticsUnivariate(),
		StatisticsBivariate(),
		StatisticsByGroup(),
		Histogram(),
		StatisticsFrequency(),
		StatisticsContingency(),
		ChiSquare(),
		FisherExact(),
		TTest(),
		ANOVA(),
		CorrelationMatrix(),
		CorrelationVertical(),
		LinearRegression(),
		LinearRegressionVertical(),
		StatisticsRegressionOLSVertical(),
		LogisticRegression(),
		PoissonRegression(),
		KaplanMeier(),
		LogRank(),
		SetIntersection(),
		SetIntersectionSize(),
	}
}
