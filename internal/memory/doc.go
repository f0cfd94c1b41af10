// Package memory holds what dials have found out about origins: in the process ([Map]), or in a file that processes share ([File]).
// What an entry means and how two of them are merged is package negotiate's.
package memory
