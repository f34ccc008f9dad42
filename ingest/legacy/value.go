package legacy

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// value is a text, or the list or map that in points to.
type value struct {
	text string
	in   *container
}

// String converts as JavaScript's String does.
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

// merge adds what one key of the form says about a name to what earlier keys said, as merge in qs/lib/utils.js does.
// Both may be changed and must not be used afterwards. The depth of values, and so of the recursion, is bounded by a
// small multiple of maxDepth.
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

// prepend puts a value in front of the elements of a list, or makes a pair of it and a map. A list that thereby
// reaches over arrayLimit becomes a map.
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

// container is a list (a JavaScript array, its holes left out) or a map (an object).
type container struct {
	entries []entry
	places  map[key]int // of entries, once they are many

	isList bool
	grows  bool    // a map to whose end a text that it meets is pushed, where another map makes a pair with it
	last   float64 // highest number among the keys, or notNumber
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

// push sets the number behind the last one.
func (c *container) push(v value) {
	c.set(key{number: c.last + 1}, v)
}

// set replaces the value of a key, or adds it behind the others.
func (c *container) set(k key, v value) {
	const few = 8
	if i := c.find(k); i >= 0 {
		c.entries[i].value = v
		return
	}
	c.entries = append(c.entries, entry{k, v})
	c.last = max(c.last, k.number)
	switch n := len(c.entries); {
	case c.places != nil:
		c.places[k] = n - 1
	case n > few:
		c.places = make(map[key]int, 2*n)
		for i, e := range c.entries {
			c.places[e.key] = i
		}
	}
}

// find returns the place of a key among the entries, or -1.
func (c *container) find(k key) int {
	if c.places == nil {
		return slices.IndexFunc(c.entries, func(e entry) bool { return e.key == k })
	}
	if i, ok := c.places[k]; ok {
		return i
	}
	return -1
}

// sorted puts the entries into JavaScript's order: array indices ascending, then the other keys as they came. It ends
// the use of find and set.
func (c *container) sorted() []entry {
	slices.SortStableFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.key.rank(), b.key.rank()) })
	return c.entries
}

// key is a number, or a name with notNumber. Numbers are JavaScript's, so that they lose digits where its do.
type key struct {
	number float64
	name   string
}

const notNumber = -1

// parseKey takes for a number what String(parseInt(s)) gives back.
func parseKey(s string) key {
	const longest = 21 // beyond it String writes an exponent
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

// rank orders array indices before all other keys.
func (k key) rank() float64 {
	const maxIndex = 1<<32 - 2
	if k.number == notNumber || k.number > maxIndex {
		return maxIndex + 1
	}
	return k.number
}
