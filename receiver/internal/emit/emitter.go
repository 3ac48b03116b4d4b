// Package emit turns exchanges into spans and log records.
package emit
