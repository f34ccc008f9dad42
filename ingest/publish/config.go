package publish

import "fmt"

// Config holds the flags of this package, which every API shares. A limit of zero is none.
type Config struct {
	// MaxEmits is sized for PHP, where each process waits for one emit at a time: 1,024 are more than the machines of a
	// site have PHP processes, and half of them are left to one address (admission). An emit usually takes less than a
	// millisecond, so so many at once mean that gateways or NATS do not answer.
	MaxEmits int `default:"1024" help:"Emits that may run at once. One address gets at most as many as are left free. Further ones are answered 503. 0 is no limit."`
	// MaxEmitBytes is the memory that one emit can take in queues of sockets that do not read.
	MaxEmitBytes int64 `default:"67108864" help:"Largest size of an emit in bytes: its event, once for each receiver. A larger one is answered 413. Those that run at once have twice as much in all. 0 is no limit."`
}

// Validate returns an error that names the first invalid flag and its allowed values.
func (c Config) Validate() error {
	if c.MaxEmits < 0 {
		return fmt.Errorf("--max-emits is %d: it must be 0, which is no limit, or more", c.MaxEmits)
	}
	if c.MaxEmitBytes < 0 {
		return fmt.Errorf("--max-emit-bytes is %d: it must be 0, which is no limit, or more", c.MaxEmitBytes)
	}
	return nil
}
