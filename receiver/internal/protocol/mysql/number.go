package mysql

import (
	"strconv"
	"strings"
)

// Error numbers of which the text is kept ready: those of the server, of MySQL
// and MariaDB (Server Error Message Reference).
const (
	firstNumber = 1000
	numbers     = 9000
	numberLen   = len("1000")
)

// number returns the text of an error number.
func (p *Protocol) number(code uint16) string {
	if i := int(code) - firstNumber; i >= 0 && i < numbers {
		return p.numbers[i*numberLen:][:numberLen]
	}
	return longNumber(code)
}

// readyNumbers returns them, each as long as the next.
func readyNumbers() string {
	var b strings.Builder
	b.Grow(numbers * numberLen)
	for n := range numbers {
		b.WriteString(longNumber(uint16(firstNumber + n)))
	}
	return b.String()
}

// longNumber is the text of any number.
func longNumber(code uint16) string { return strconv.Itoa(int(code)) }
