/* One text into one form: normalization, trimming, case folding; no RPC in it. */

#ifndef NORMALIZE_H
#define NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

/** Unicode's four normalization forms, in the order of demo.Form. */
enum normal_form { NORMAL_NFC, NORMAL_NFD, NORMAL_NFKC, NORMAL_NFKD };

struct normalize_options {
	enum normal_form form;
	bool trim;      /**< remove white space from both ends */
	bool case_fold; /**< full case folding */
};

/**
 * Normalizes UTF-8 text. *normal is the caller's, to be freed with free().
 * Returns 0, -EILSEQ (not UTF-8; *offset is the first byte that is wrong),
 * -EINVAL (no such form), -EOVERFLOW (too long) or -ENOMEM; on failure *normal is untouched.
 * Any thread.
 */
int normalize(const char *text, const struct normalize_options *options, char **normal,
	      size_t *offset);

#endif /* NORMALIZE_H */
