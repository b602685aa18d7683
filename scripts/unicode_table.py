#!/usr/bin/env python3
"""Writes common/pattern_unicode.c: general categories as ranges of code points."""
import sys
import unicodedata

cats = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd",
        "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc",
        "Cf", "Cs", "Co"]
rows, start, last = [], 0, None
for cp in range(0x110001):
    cat = unicodedata.category(chr(cp)) if cp < 0x110000 else None
    if cat != last:
        if last in cats:
            rows.append((start, cp - 1, cats.index(last)))
        start, last = cp, cat

out = sys.stdout
out.write("/* General categories of Unicode %s by range; made by\n"
          " * scripts/unicode_table.py, not by hand.  Not listed: Cn. */\n\n"
          "#include \"pattern_parts.h\"\n\n"
          "const char *const pattern_categories[] = {\n" % unicodedata.unidata_version)
for i in range(0, len(cats), 10):
    out.write("    " + ", ".join('"%s"' % c for c in cats[i:i + 10]) + ",\n")
out.write("    NULL\n};\n\nconst pattern_category_t pattern_unicode[] = {\n")
line = "   "
for lo, hi, cat in rows:
    item = " {0x%X,0x%X,%d}," % (lo, hi, cat)
    if len(line) + len(item) > 79:
        out.write(line + "\n")
        line = "   "
    line += item
out.write(line + "\n};\n\nconst size_t pattern_unicode_count = "
          "sizeof(pattern_unicode)\n    / sizeof(pattern_unicode[0]);\n")
