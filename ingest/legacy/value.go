package legacy

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// value is a text if in is nil, else the list or map that in points to.
type value struct {
	text string
	in   *container
}

// String converts a value as JavaScript's String(value) does.
func (v value) String() string {
	switch {
	case v.in == nil:
		return v.text
	case !v.in.isList:
		return "[object Object]"
	}
	var b strings.Builder
	for i, e := range v.in.sorted() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(e.value.String())
	}
	return b.String()
}

// merge merges source, the value that one key of the form gives a name, into target, the value from the keys before. It
// follows merge in qs/lib/utils.js. The caller must use only the result, because merge reuses both arguments. Values
// are at most a small multiple of maxDepth deep, which bounds the recursion.
func merge(target, source value, arrayLimit int) value {
	t, s := target.in, source.in
	switch {
	case s == nil && source.text == "":
		return target
	case s == nil && t == nil:
		return newList(target, source)
	case s == nil && (t.isList || t.grows):
		t.push(source)
		return target
	case s == nil:
		pair := newList(target, source)
		pair.in.grows = true
		return pair
	case t == nil:
		return prepend(target, s, arrayLimit)
	}

	bothLists := t.isList && s.isList
	t.isList = bothLists
	t.grows = t.grows || s.grows
	for _, e := range s.entries {
		switch i := t.find(e.key); {
		case i < 0:
			t.set(e.key, e.value)
		case bothLists && (t.entries[i].value.in == nil || e.value.in == nil):
			t.push(e.value)
		default:
			merged := merge(t.entries[i].value, e.value, arrayLimit)
			t.entries[i].value = merged
		}
	}
	return target
}

// prepend inserts a value before the elements of a list. Of a map it makes a list of two, the value and the map. A list
// that exceeds arrayLimit becomes a map.
func prepend(first value, c *container, arrayLimit int) value {
	if !c.isList && !c.grows {
		return newList(first, value{in: c})
	}
	list := newList(first)
	for _, e := range c.entries {
		list.in.set(key{number: e.key.number + 1}, e.value)
	}
	if c.grows || list.in.last >= float64(arrayLimit) {
		list.in.isList, list.in.grows = false, true
	}
	return list
}

// container is a list (a JavaScript array without its holes) or a map (a JavaScript object).
type container struct {
	entries   []entry
	scattered bool        // the keys are not the numbers 0, 1, 2 and so on in the order of entries
	places    map[key]int // index in entries by key; nil while there are few, and while the keys are not scattered

	isList bool
	grows  bool    // merging a text into this map appends the text, instead of making a list of the map and the text
	last   float64 // the highest number among the keys; notNumber if there is none
}

type entry struct {
	key   key
	value value
}

func newList(values ...value) value {
	c := &container{isList: true, last: notNumber, entries: make([]entry, 0, len(values))}
	for _, v := range values {
		c.push(v)
	}
	return value{in: c}
}

// push appends a value: its key is the number after last.
func (c *container) push(v value) {
	c.set(key{number: c.last + 1}, v)
}

// set replaces the value of a key, or appends the key with the value.
func (c *container) set(k key, v value) {
	const linearSearch = 8 // up to so many keys are searched without a map
	if i := c.find(k); i >= 0 {
		c.entries[i].value = v
		return
	}
	c.entries = append(c.entries, entry{k, v})
	c.last = max(c.last, k.number)
	n := len(c.entries)
	c.scattered = c.scattered || k.number != float64(n-1)
	switch {
	case c.places != nil:
		c.places[k] = n - 1
	case c.scattered && n > linearSearch:
		c.places = make(map[key]int, 2*n)
		for i, e := range c.entries {
			c.places[e.key] = i
		}
	}
}

// find returns the index of a key in entries, or -1.
func (c *container) find(k key) int {
	if !c.scattered {
		if k.number >= 0 && k.number < float64(len(c.entries)) {
			return int(k.number)
		}
		return -1
	}
	if c.places == nil {
		return slices.IndexFunc(c.entries, func(e entry) bool { return e.key == k })
	}
	if i, ok := c.places[k]; ok {
		return i
	}
	return -1
}

// sorted sorts the entries into JavaScript's order: array indices ascending, then the other keys in the order of their
// insertion. find and set must not be called afterwards, because places is then wrong.
func (c *container) sorted() []entry {
	slices.SortStableFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.key.rank(), b.key.rank()) })
	return c.entries
}

// key is a number, or a name if number is notNumber. Numbers are float64 as in JavaScript, so large ones lose the same
// digits.
type key struct {
	number float64
	name   string
}

const notNumber = -1

// parseKey returns a number if JavaScript's String(parseInt(s)) equals s, else a name. s must not be empty.
func parseKey(s string) key {
	const longest = 21 // digits: String writes a longer number with an exponent
	named := key{number: notNumber, name: s}
	if len(s) > longest || s[0] < '0' || s[0] > '9' {
		return named
	}
	number, err := strconv.ParseFloat(s, 64)
	if err != nil || number != math.Trunc(number) || strconv.FormatFloat(number, 'f', -1, 64) != s {
		return named
	}
	return key{number: number}
}

// rank is the sort key of sorted: the number of an array index, and one number above all indices for other keys.
func (k key) rank() float64 {
	const maxIndex = 1<<32 - 2
	if k.number == notNumber || k.number > maxIndex {
		return maxIndex + 1
	}
	return k.number
}
