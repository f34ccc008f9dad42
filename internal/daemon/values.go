package daemon

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// values are options of kong by which its errors say how a duration or a number
// is written.
func values() []kong.Option {
	whole := func(bits int) kong.MapperFunc {
		return value("a whole number in digits, such as 100000", func(text string) (int64, error) { return strconv.ParseInt(text, 0, bits) })
	}
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[time.Duration](), value("a number with a unit, such as 500ms, 10s or 5m", time.ParseDuration)),
		kong.KindMapper(reflect.Int, whole(strconv.IntSize)),
		kong.KindMapper(reflect.Int64, whole(64)),
	}
}

// value reads a flag's value by parse. must says what the value must be.
func value[T any](must string, parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		v, err := parse(text)
		if err != nil {
			return fmt.Errorf("%q must be %s", text, must)
		}
		target.Set(reflect.ValueOf(v).Convert(target.Type()))
		return nil
	}
}
