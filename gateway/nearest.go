package gateway

import "strings"

// Nearest is the name that a mistyped one most likely stands for, or "": at most a third of its letters, and two at
// least, may differ.
func Nearest(typed string, names []string) string {
	const longest = 100 // bytes: what is longer is no mistyped name
	if len(typed) > longest {
		return ""
	}
	best, least := "", max(2, len(typed)/3)+1
	for _, n := range names {
		if d := Distance(strings.ToLower(typed), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// Distance is the number of letters to insert, delete or replace (Levenshtein 1966).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
