#include "textflag.h"

// func maskBlocks(dst *byte, p []byte, k uint64) (n int, or uint64)
//
// SSE2, which every amd64 processor has: 64 bytes a turn, then 16.
TEXT ·maskBlocks(SB), NOSPLIT, $0-56
	MOVQ dst+0(FP), DI
	MOVQ p_base+8(FP), SI
	MOVQ p_len+16(FP), CX
	MOVQ k+32(FP), X0
	PUNPCKLQDQ X0, X0
	PXOR X5, X5
	PXOR X6, X6
	ANDQ $~15, CX
	MOVQ CX, n+40(FP)
	SUBQ $64, CX
	JB   rest

turn:
	MOVOU (SI), X1
	MOVOU 16(SI), X2
	MOVOU 32(SI), X3
	MOVOU 48(SI), X4
	PXOR  X0, X1
	PXOR  X0, X2
	PXOR  X0, X3
	PXOR  X0, X4
	MOVOU X1, (DI)
	MOVOU X2, 16(DI)
	MOVOU X3, 32(DI)
	MOVOU X4, 48(DI)
	POR   X1, X5
	POR   X2, X6
	POR   X3, X5
	POR   X4, X6
	ADDQ  $64, SI
	ADDQ  $64, DI
	SUBQ  $64, CX
	JAE   turn

rest:
	ADDQ $64, CX
	JZ   done

block:
	MOVOU (SI), X1
	PXOR  X0, X1
	MOVOU X1, (DI)
	POR   X1, X5
	ADDQ  $16, SI
	ADDQ  $16, DI
	SUBQ  $16, CX
	JNZ   block

done:
	POR    X6, X5
	MOVHLPS X5, X1
	POR    X1, X5
	MOVQ   X5, or+48(FP)
	RET
