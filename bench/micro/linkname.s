// Makes the compiler take functions without a body, which linkname_test.go has.
