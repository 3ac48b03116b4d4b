package stream

// An Opening is how the connections of a protocol begin, and what they consist of.
type Opening struct {
	// Bytes are what every client begins with, 8 or more. Empty: they do not all
	// begin alike, and nothing else is known either.
	Bytes string
	// Frames is how the frames are laid out that all the rest consists of, in both
	// directions. The zero value: it does not.
	Frames Framing
}

// A Framing says where frames end, and which of them hold what nobody wants. Each
// has a head, which tells its type and, in network byte order, the length of its
// body, which follows.
type Framing struct {
	HeadBytes   int // 16 at the most
	LengthAt    int // byte of the head at which the length begins, 7 at the most
	LengthBytes int // 1 to 4
	TypeAt      int // byte of the head
	// Skims are the types, bit by bit, of whose bodies of SkimFrom bytes and more
	// only the first KeptBytes are wanted: less than SkimFrom, and than 256.
	Skims     uint32
	SkimFrom  int // 0: nothing is skimmed
	KeptBytes int
}
