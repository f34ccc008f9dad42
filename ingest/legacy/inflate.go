package legacy

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/ramainen/doit-socket/internal/budget"
)

// contentEncoding returns "gzip", "deflate" or "" for the lines of a request's Content-Encoding. It returns a mistake
// for any other encoding, and for more than one.
func contentEncoding(lines []string) (encoding string, err error) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); {
			case name == "", name == "identity":
			case encoding == "" && (name == "gzip" || name == "x-gzip"):
				encoding = "gzip"
			case encoding == "" && name == "deflate":
				encoding = name
			default:
				return "", &mistake{kindContentEncoding, http.StatusUnsupportedMediaType, fmt.Sprintf(
					"the Content-Encoding %s is not read: send gzip, deflate or none, and one of them only", quote(strings.Join(lines, ",")))}
			}
		}
	}
	return encoding, nil
}

// An inflater decompresses one body at a time. It keeps its tables, some 40 KiB for each of the three formats that it
// has met, for the next one.
type inflater struct {
	in    bytes.Reader
	gzip  gzip.Reader
	zlib  io.ReadCloser // nil until it is needed
	flate io.ReadCloser // likewise
}

// newInflaters returns as many inflaters as can run at once. A body that is compressed waits for one, after it has
// arrived: so a client that sends slowly, or many clients, cost no more memory than with bodies that are not.
func newInflaters() chan *inflater {
	inflaters := make(chan *inflater, runtime.GOMAXPROCS(0))
	for range cap(inflaters) {
		inflaters <- new(inflater)
	}
	return inflaters
}

// inflate decompresses a body to --max-body bytes at most, and counts the result in held.
func (a *API) inflate(encoding string, packed []byte, held *budget.Account) ([]byte, error) {
	z := <-a.inflaters
	defer func() {
		z.in.Reset(nil)
		a.inflaters <- z
	}()
	in, err := z.open(encoding, packed)
	if err != nil {
		return nil, readError(err, errInflate)
	}
	body, err := budget.ReadAll(http.MaxBytesReader(nil, io.NopCloser(in), a.config.MaxBody), held, bodyCopies, func() {})
	if err != nil {
		return nil, readError(err, errInflate)
	}
	return body, nil
}

// open returns a reader of what is in packed. With deflate clients mean one of two formats: that of zlib, which the
// standard demands, or the bare one.
func (z *inflater) open(encoding string, packed []byte) (io.Reader, error) {
	z.in.Reset(packed)
	switch {
	case encoding == "gzip":
		return &z.gzip, z.gzip.Reset(&z.in)
	case isZlib(packed) && z.zlib != nil:
		return z.zlib, z.zlib.(zlib.Resetter).Reset(&z.in, nil)
	case isZlib(packed):
		var err error
		z.zlib, err = zlib.NewReader(&z.in)
		return z.zlib, err
	case z.flate != nil:
		return z.flate, z.flate.(flate.Resetter).Reset(&z.in, nil)
	}
	z.flate = flate.NewReader(&z.in)
	return z.flate, nil
}

// isZlib reports whether a body begins as zlib's format does (RFC 1950). No compressor begins the bare format so.
func isZlib(packed []byte) bool {
	return len(packed) >= 2 && packed[0]&0x0f == 8 && packed[0]>>4 <= 7 && (int(packed[0])<<8|int(packed[1]))%31 == 0
}
