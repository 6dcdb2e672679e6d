# Writes the file IN as the C function descriptors_set() into OUT.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include \"proto/descriptors.h\"

static const unsigned char set[] = {
${bytes}
};

const unsigned char *descriptors_set(size_t *ret_len)
{
	*ret_len = sizeof set;
	return set;
}
")
