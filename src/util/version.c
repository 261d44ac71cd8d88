/* The version that runs, as opposed to the one that was compiled against. */

#include <hawser/version.h>

const char *hawser_version(void)
{
	return HAWSER_VERSION;
}
