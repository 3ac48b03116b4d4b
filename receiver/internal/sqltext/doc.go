// Package sqltext tells what a query says without what it says it about: its
// text with the literals replaced (Sanitize, db.query.text) and its summary
// (Summary, db.query.summary), for all databases that speak SQL.
//
// What both must be is in the semantic conventions, database spans:
// "Sanitization of db.query.text" and "Generating a summary of the query"
// (opentelemetry.io/docs/specs/semconv/db/database-spans), and in the cases
// published beside them (docs/non-normative/database-test-cases).
//
// Nothing here parses SQL. A scanner cuts the query into tokens, by the rules
// of its dialect; the text is the tokens put together again, the summary is
// those that stand where an operation or its target stands. A query may be cut
// anywhere, be no SQL at all or be meant to harm: one pass, no recursion, no
// allocation but for what dst lacks, and what is not understood is taken for
// a literal rather than shown.
package sqltext
