package http1

import "errors"

// Why bytes made no sense. The engine counts each by its text.
var (
	errRequestLine  = errors.New("http1: not a request line")
	errStatusLine   = errors.New("http1: not a status line")
	errHeadSize     = errors.New("http1: head too large")
	errChunk        = errors.New("http1: not a chunk")
	errRequestBody  = errors.New("http1: request body of unknown length")
	errResponseBody = errors.New("http1: response body of unknown length")
)

// stage is where in a message a side is.
type stage uint8

const (
	atStart    stage = iota // the next byte begins a message
	astray                  // after a loss: the next write may begin one
	inReason                // of a status line
	inFields                // of the head
	atBody                  // of a request that waits to be told to continue
	inBody                  // of known length; what is left is owed by the buffer
	atChunk                 // before a chunk's size
	inChunk                 // as inBody
	inTrailers              // after the last chunk
	tillEnd                 // the body ends with the connection
)

// half is one direction of a connection: it reads the frame of messages.
type half struct {
	stage   stage
	whole   bool    // whole messages may be among what was lost
	minor   byte    // version of the message
	folded  bool    // the line at the front of the buffer goes on in the next one
	scanned int32   // bytes at the front of the buffer that hold no line feed
	size    int     // bytes of the section that were consumed: of head or trailers
	body    int64   // bytes of the body, without its framing
	unfolds *[]byte // memory for folded lines; nil before there is one
	framing
}

// begin starts over with the next message.
func (h *half) begin() { *h = half{unfolds: h.unfolds} }
