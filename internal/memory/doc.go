// Package memory holds what dials have found out about origins: in the process, or in a file that processes share.
package memory
