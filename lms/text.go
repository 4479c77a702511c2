package lms

import "fmt"

// MarshalText is the name of the set, as String gives it; ErrParameters if the
// set is not Valid.
func (s ParameterSet) MarshalText() ([]byte, error) {
	if err := s.Valid(); err != nil {
		return nil, err
	}
	return []byte(s.String()), nil
}

// UnmarshalText is the reverse of MarshalText.
func (s *ParameterSet) UnmarshalText(name []byte) error {
	set, err := ParseParameterSet(string(name))
	if err != nil {
		return fmt.Errorf("couldn't read a parameter set: %w", err)
	}
	*s = set
	return nil
}
