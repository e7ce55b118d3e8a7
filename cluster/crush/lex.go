package crush

import (
	"math"
	"strconv"
	"strings"

	"glue/ceph"
)

// A token of the text form: a word or number, or one of { } [ ].
type token struct {
	text string
	line int
}

// A parser walks the tokens; the first error sticks.
type parser struct {
	toks  []token
	at    int
	lines []string
	err   error
}

// isWord says whether a byte belongs to a word or a number.
func isWord(c byte) bool {
	return isName(c) || c == '+'
}

// isName says whether a byte may be in the name of an item, type, class or rule.
func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '_' || c == '.'
}

// ValidName says whether a name can be given to an item: shadow buckets have others.
func ValidName(s string) bool {
	for i := range len(s) {
		if !isName(s[i]) {
			return false
		}
	}
	return s != ""
}

// lex cuts the text into tokens; comments run from # to the end of the line.
func lex(text string) *parser {
	p := &parser{lines: strings.Split(text, "\n")}
	for n, line := range p.lines {
		line, _, _ = strings.Cut(line, "#")
		for i := 0; i < len(line); {
			switch c := line[i]; {
			case strings.IndexByte(" \t\r\v\f", c) >= 0:
				i++
				continue
			case strings.IndexByte("{}[]", c) >= 0:
				p.toks = append(p.toks, token{line[i : i+1], n})
				i++
				continue
			}
			end := i
			for end < len(line) && isWord(line[end]) {
				end++
			}
			if end == i {
				p.toks = append(p.toks, token{line[i : i+1], n})
				p.at = len(p.toks) - 1
				p.bad()
				return p
			}
			p.toks = append(p.toks, token{line[i:end], n})
			i = end
		}
	}
	return p
}

// fail records an error about the meaning of the text.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fail(ceph.EINVAL, format, args...)
	}
}

// bad records a syntax error at the next token.
func (p *parser) bad() {
	if p.at >= len(p.toks) {
		p.fail("error: parse error at the end")
		return
	}
	t := p.toks[p.at]
	line := p.lines[t.line]
	rest := line[max(strings.Index(line, t.text), 0):]
	p.fail("line %d error: parse error at '%s'", t.line+1, rest)
}

// peek is the next token's text, "" at the end or after an error.
func (p *parser) peek() string {
	if p.err != nil || p.at >= len(p.toks) {
		return ""
	}
	return p.toks[p.at].text
}

// next takes the next token.
func (p *parser) next() string {
	t := p.peek()
	if t == "" {
		p.bad()
		return ""
	}
	p.at++
	return t
}

// accept takes the next token if it is the word.
func (p *parser) accept(word string) bool {
	if p.peek() != word {
		return false
	}
	p.at++
	return true
}

// expect takes the words, which must follow.
func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.bad()
			return
		}
	}
}

// name takes a name.
func (p *parser) name() string {
	if t := p.peek(); !ValidName(t) {
		p.bad()
		return ""
	}
	return p.next()
}

// number takes a whole number from least to most.
func (p *parser) number(least, most int64) int64 {
	t := p.peek()
	v, err := strconv.ParseInt(t, 10, 64)
	if err != nil || t[0] == '+' {
		p.bad()
		return 0
	}
	if v < least || v > most {
		p.fail("line %d error: number %d is out of range", p.toks[p.at].line+1, v)
		return 0
	}
	p.at++
	return v
}

func (p *parser) posint() int32 { return int32(p.number(0, math.MaxInt32)) }

// weight takes a decimal number and gives it in 16.16, through a float as stock does.
func (p *parser) weight() uint32 {
	t := p.peek()
	f, err := strconv.ParseFloat(t, 32)
	if err != nil || strings.ContainsAny(t, "_xXpPiInN") {
		p.bad()
		return 0
	}
	scaled := float32(f) * 0x10000
	if scaled < 0 || scaled >= 1<<32 {
		p.fail("line %d error: weight %s is out of range", p.toks[p.at].line+1, t)
		return 0
	}
	p.at++
	return uint32(scaled)
}

// isNumber says whether the next token begins like a number: what ends a list of numbers.
func (p *parser) isNumber() bool {
	t := p.peek()
	return t != "" && strings.IndexByte("+-.0123456789", t[0]) >= 0
}
