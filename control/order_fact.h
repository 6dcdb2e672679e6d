/* control/order_fact.h - the name of a fact in the store that says who ordered something: "prefix/who/what". Values of
 * facts are numbers, so the text is in the name. Pure. */
#ifndef CONTROL_ORDER_FACT_H
#define CONTROL_ORDER_FACT_H

/** prefix ends with "/". What may hold any character; in who a "/" becomes "_". The caller owns the result. */
char *order_fact_new(const char *prefix, const char *who, const char *what);
/** What, borrowed from the fact; NULL: its prefix is another one, or it is damaged. *ret_who: the caller's. */
const char *order_fact_read(const char *fact, const char *prefix, char **ret_who);
#endif
