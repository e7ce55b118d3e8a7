package mon

import (
	"glue/wire/message"
)

func (c *core) poolOp(e event, b *message.MPoolOp) {}
