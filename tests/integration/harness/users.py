"""Users that tests run programs as: two without rights, none of whom owns anything."""
FIRST, SECOND = 61001, 61002
