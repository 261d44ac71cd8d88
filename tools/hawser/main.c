/* The hawser command: a table of subcommands, one file each. */

#include "command.h"
#include <stddef.h>

const struct command *const commands[] = {
	&command_ping,  &command_shutdown, &command_lease,   &command_bench, &command_echo,
	&command_proxy, &command_help,     &command_version, NULL,
};

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
