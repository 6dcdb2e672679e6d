# Writes the file IN as a C array into OUT.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char descriptors_data[];\nextern const size_t descriptors_data_len;\nconst unsigned char descriptors_data[] = {\n${bytes}\n};\nconst size_t descriptors_data_len = sizeof descriptors_data;\n")
