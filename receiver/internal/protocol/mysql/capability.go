package mysql

// capabilities is what both ends of a connection agreed on in its handshake.
// page_protocol_connection_phase, group__group__cs__capabilities__flags;
// MariaDB KB "Connection", which has the same numbers up to 29.
type capabilities uint32

const (
	clientLongPassword  capabilities = 1 << 0 // MariaDB servers from 10.2 on leave it out to be known by it
	clientConnectWithDB capabilities = 1 << 3
	clientCompress      capabilities = 1 << 5
	clientProtocol41    capabilities = 1 << 9
	clientSSL           capabilities = 1 << 11
	clientSecure        capabilities = 1 << 15 // one byte of length before the password's hash
	clientAuthLenenc    capabilities = 1 << 21
	clientDeprecateEOF  capabilities = 1 << 24
	clientZstd          capabilities = 1 << 26
	clientAttributes    capabilities = 1 << 27
)

// status is that of the session after a statement. SERVER_STATUS_flags_enum.
type status uint16

const (
	statusTransaction   status = 1 << 0
	statusAutocommit    status = 1 << 1
	statusMoreResults   status = 1 << 3
	statusCursor        status = 1 << 6 // the rows are to be fetched
	statusSchemaDropped status = 1 << 8
	statusNoBackslash   status = 1 << 9
	statusStateChanged  status = 1 << 14 // the packet tells how
)

// sessionSchema is the type of session state that names the schema in use.
// page_protocol_basic_ok_packet, enum_session_state_type.
const sessionSchema = 1

// A certainty is what is known of something that was agreed on where the
// handshake may not have been seen.
type certainty uint8

const (
	unknown certainty = iota
	no
	yes
)
