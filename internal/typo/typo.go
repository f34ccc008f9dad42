// Package typo tells how far a name is from the one that was probably meant.
package typo

// Distance returns how many bytes must be added, removed or replaced in a to get b: the Levenshtein distance. It takes
// time for the product of the lengths, which the caller bounds. It is safe for concurrent use.
func Distance(a, b string) int {
	row := make([]int, len(b)+1) // of the letters of a so far, to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
