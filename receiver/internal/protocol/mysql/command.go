package mysql

import "encoding/binary"

// A command is the first byte of a request in the command phase.
// page_protocol_command_phase; enum_server_command.
type command byte

const (
	comQuit              command = 0x01
	comInitDB            command = 0x02
	comQuery             command = 0x03
	comFieldList         command = 0x04
	comCreateDB          command = 0x05
	comDropDB            command = 0x06
	comRefresh           command = 0x07
	comShutdown          command = 0x08
	comStatistics        command = 0x09
	comProcessInfo       command = 0x0a
	comProcessKill       command = 0x0c
	comDebug             command = 0x0d
	comPing              command = 0x0e
	comChangeUser        command = 0x11
	comBinlogDump        command = 0x12
	comTableDump         command = 0x13
	comRegisterSlave     command = 0x15
	comPrepare           command = 0x16
	comExecute           command = 0x17
	comLongData          command = 0x18
	comClose             command = 0x19
	comReset             command = 0x1a
	comSetOption         command = 0x1b
	comFetch             command = 0x1c
	comBinlogDumpGTID    command = 0x1e
	comResetConnection   command = 0x1f
	comClone             command = 0x20
	comSubscribeGroupLog command = 0x21
	comBulkExecute       command = 0xfa // MariaDB KB, COM_STMT_BULK_EXECUTE
	// connect is no command: it stands for the handshake, up to the server's
	// verdict on the client.
	connect command = 0xff
)

// An answer is the shape of what the server says to a command.
type answer uint8

const (
	answerOK       answer = iota // OK, EOF or ERR
	answerNone                   // nothing
	answerResult                 // page_protocol_com_query_response
	answerRows                   // rows without their columns: page_protocol_com_stmt_fetch
	answerColumns                // columns without rows: page_protocol_com_field_list
	answerPrepared               // page_protocol_com_stmt_prepare
	answerText                   // one packet of text: page_protocol_com_statistics
	answerAuth                   // page_protocol_connection_phase_authentication_methods
	answerStream                 // without an end: page_protocol_replication
)

// An argument is what a command carries.
type argument uint8

const (
	argumentOther  argument = iota
	argumentSQL             // text of a statement
	argumentSchema          // the name of one
	argumentTable           // the name of one
	argumentID              // of a prepared statement
	argumentUser            // of COM_CHANGE_USER
)

// A shape is how a command is framed. Lengths are those of the payload with the
// command's byte.
type shape struct {
	name        string // the protocol's, without its prefix; an operation's where the text of a statement does not tell
	answer      answer
	argument    argument
	least, most int
}

const (
	anyLength = 1 << 30 // max_allowed_packet ends there
	maxName   = 64 * 4  // characters of an identifier, in the longest encoding
)

var shapes = [256]shape{
	comQuit:              {"QUIT", answerNone, argumentOther, 1, 1},
	comInitDB:            {"INIT_DB", answerOK, argumentSchema, 2, 1 + maxName},
	comQuery:             {"", answerResult, argumentSQL, 2, anyLength},
	comFieldList:         {"FIELD_LIST", answerColumns, argumentTable, 3, 2 + 2*maxName},
	comCreateDB:          {"CREATE_DB", answerOK, argumentSchema, 2, 1 + maxName},
	comDropDB:            {"DROP_DB", answerOK, argumentSchema, 2, 1 + maxName},
	comRefresh:           {"REFRESH", answerOK, argumentOther, 2, 2},
	comShutdown:          {"SHUTDOWN", answerOK, argumentOther, 1, 2},
	comStatistics:        {"STATISTICS", answerText, argumentOther, 1, 1},
	comProcessInfo:       {"PROCESS_INFO", answerResult, argumentOther, 1, 1},
	comProcessKill:       {"PROCESS_KILL", answerOK, argumentOther, 5, 5},
	comDebug:             {"DEBUG", answerOK, argumentOther, 1, 1},
	comPing:              {"PING", answerOK, argumentOther, 1, 1},
	comChangeUser:        {"CHANGE_USER", answerAuth, argumentUser, 4, 64 << 10},
	comBinlogDump:        {"BINLOG_DUMP", answerStream, argumentOther, 11, 1 << 10},
	comTableDump:         {"TABLE_DUMP", answerStream, argumentOther, 3, 1 << 10},
	comRegisterSlave:     {"REGISTER_SLAVE", answerOK, argumentOther, 18, 1 << 10},
	comPrepare:           {"PREPARE", answerPrepared, argumentSQL, 2, anyLength},
	comExecute:           {"EXECUTE", answerResult, argumentID, 10, anyLength},
	comLongData:          {"SEND_LONG_DATA", answerNone, argumentID, 7, anyLength},
	comClose:             {"CLOSE", answerNone, argumentID, 5, 5},
	comReset:             {"STMT_RESET", answerOK, argumentID, 5, 5},
	comSetOption:         {"SET_OPTION", answerOK, argumentOther, 3, 3},
	comFetch:             {"FETCH", answerRows, argumentID, 9, 9},
	comBinlogDumpGTID:    {"BINLOG_DUMP_GTID", answerStream, argumentOther, 19, 1 << 20},
	comResetConnection:   {"RESET_CONNECTION", answerOK, argumentOther, 1, 1},
	comClone:             {"CLONE", answerStream, argumentOther, 1, 1 << 10},
	comSubscribeGroupLog: {"SUBSCRIBE_GROUP_REPLICATION_STREAM", answerStream, argumentOther, 1, 1 << 10},
	comBulkExecute:       {"BULK_EXECUTE", answerResult, argumentID, 7, anyLength},
	connect:              {"CONNECT", answerAuth, argumentOther, anyLength, anyLength},
}

func (c command) shape() *shape { return &shapes[c] }

// known reports whether a payload of size may be this command.
func (c command) known(size int) bool {
	s := &shapes[c]
	return s.most > 0 && size >= s.least && size <= s.most
}

// lastPrepared stands for the statement that was prepared last (MariaDB KB,
// COM_STMT_EXECUTE).
const lastPrepared = 1<<32 - 1

// statementID returns the one that p, the payload, names.
func statementID(p []byte) (id uint32, ok bool) {
	if len(p) < 5 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(p[1:]), true
}
