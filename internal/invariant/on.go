//go:build invariants || race

package invariant

// Enabled says whether this build checks.
const Enabled = true
