package pcap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/perisco-io/perisco/receiver/internal/stream"
)

const (
	bufferSize = 256 << 10 // of reads from the file
	// maxPacket is the longest packet believed in. Segmentation offload makes
	// packets of up to 512 KiB (Linux: GSO_MAX_SIZE).
	maxPacket = 1 << 20
	// maxStep is how much of the file may pass from one packet to the next:
	// whatever length a header claims, no more than this comes to memory.
	// Between packets stand names and TLS keys, of a few KiB.
	maxStep = 16 << 20
	// maxNames bounds what pcapgo keeps of a section: its interfaces and the
	// names of addresses. It keeps TLS keys, too, of which it does not tell.
	maxNames = 1 << 16
)

var (
	errEmpty   = errors.New("not a packet capture: the file is empty")
	errStep    = fmt.Errorf("damaged: more than %d MiB and no packet in it", maxStep>>20)
	errNames   = fmt.Errorf("damaged: more than %d interfaces or names", maxNames)
	sectionTag = []byte{0x0a, 0x0d, 0x0d, 0x0a} // pcapng: the block type of a section header
	gzipTag    = []byte{0x1f, 0x8b}             // RFC 1952 2.3.1
)

// A record is one packet of the file.
type record struct {
	link layers.LinkType
	at   stream.Time
	data []byte // valid until the next
	size int    // on the wire; len(data) or more
}

// records reads a file of any format.
type records struct {
	meter  *meter
	packet interface {
		ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	}
	ng   *pcapgo.NgReader // packet, if it is one
	link layers.LinkType  // of all packets, if it is not
	at   stream.Time      // of the latest packet
}

// readRecords begins to read a capture. The bytes taken from r are added to
// read.
func readRecords(r io.Reader, read *atomic.Int64) (*records, error) {
	file := bufio.NewReaderSize(counter{r, read}, bufferSize)
	tag, err := file.Peek(len(sectionTag))
	if len(tag) == 0 && errors.Is(err, io.EOF) {
		return nil, errEmpty
	}
	var content io.Reader = file
	if bytes.HasPrefix(tag, gzipTag) {
		if content, err = gzip.NewReader(file); err != nil {
			return nil, fmt.Errorf("not a packet capture: begins like gzip: %w", err)
		}
	}
	m := &meter{r: content, left: maxStep}
	plain := bufio.NewReaderSize(m, bufferSize)
	rs := &records{meter: m}
	tag, err = plain.Peek(len(sectionTag))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.Equal(tag, sectionTag):
		rs.ng, err = pcapgo.NewNgReader(plain, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil, fmt.Errorf("not a packet capture, though it begins like a pcapng: %w", err)
		}
		rs.packet = rs.ng
	case !isPcap(tag):
		return nil, fmt.Errorf("not a packet capture: begins with %x, neither pcap nor pcapng, nor one of them compressed by gzip", tag)
	default:
		p, err := pcapgo.NewReader(plain)
		if err != nil {
			return nil, fmt.Errorf("not a packet capture, though it begins like a pcap: %w", err)
		}
		p.SetSnaplen(min(p.Snaplen(), maxPacket))
		rs.packet, rs.link = p, p.LinkType()
		if !known(rs.link) {
			return nil, fmt.Errorf("packets of link type %d (%s) are not understood: capture on an Ethernet interface, on any, or on lo", rs.link, rs.link)
		}
	}
	return rs, nil
}

// isPcap reports whether p is one of the magic numbers of pcap: times in micro- or
// nanoseconds, in either byte order.
func isPcap(p []byte) bool {
	switch string(p) {
	case "\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1":
		return true
	}
	return false
}

// next returns io.EOF at the end of the file and io.ErrUnexpectedEOF if that
// is in the middle of a packet.
func (rs *records) next() (record, error) {
	rs.meter.left = maxStep
	data, info, err := rs.packet.ZeroCopyReadPacketData()
	switch {
	case err == io.EOF && rs.ng == nil && info.CaptureLength > 0:
		return record{}, io.ErrUnexpectedEOF // of a packet, only the header is there
	case err != nil:
		return record{}, err
	}
	r := record{link: rs.link, data: data, size: max(info.Length, len(data))}
	if rs.ng != nil {
		if rs.ng.NInterfaces() > maxNames || rs.ng.NNames() > maxNames {
			return record{}, errNames
		}
		i, err := rs.ng.Interface(info.InterfaceIndex)
		if err != nil {
			return record{}, err
		}
		r.link = i.LinkType
	}
	// A simple packet block of pcapng has no time: that of the one before it.
	if !info.Timestamp.IsZero() {
		rs.at = stream.Time(max(info.Timestamp.UnixNano(), 0))
	}
	rs.at = max(rs.at, 1) // 0 is unknown
	r.at = rs.at
	return r, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// meter fails when more than left bytes are read.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errStep
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}
