# Completion of hawser(1) for bash.

_hawser()
{
	# Bash splits words at colons too, which addresses are full of: take them from the line.
	local line=${COMP_LINE:0:COMP_POINT} cur prev words cword command options
	read -ra words <<<"$line"
	[[ $line == *' ' ]] && words+=('')
	cword=$((${#words[@]} - 1))
	cur=${words[cword]} prev=${words[cword - 1]}
	local commands='ping shutdown lease bench echo proxy help version'

	COMPREPLY=()
	if ((cword == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
		return
	fi
	command=${words[1]}
	case $command in
	ping) options='--count --interval --timeout' ;;
	shutdown) options='--reason --timeout' ;;
	lease) options='--force --ticket --reason --timeout' ;;
	bench) options='--connections --depth --size --rate --duration --timeout --json --quiet' ;;
	echo) options='--loops --max-size --max-connections --allow-shutdown' ;;
	proxy)
		options='--seed --cut-every --cut-after --cut-how --cut-mid-frame --stall-every --stall-for'
		options+=' --delay --jitter --rate --segment --corrupt --direction --black-hole --refuse'
		options+=' --buffer --max-connections --control --quiet --verbose'
		;;
	help)
		((cword == 2)) && mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
		;;
	*) options= ;;
	esac
	case $prev in
	--json | --quiet | --force | --allow-shutdown | --help) ;;
	--cut-mid-frame | --black-hole | --refuse | --verbose | --control) ;;
	--cut-how)
		mapfile -t COMPREPLY < <(compgen -W 'fin rst silent random' -- "$cur")
		return
		;;
	--direction)
		mapfile -t COMPREPLY < <(compgen -W 'up down both' -- "$cur")
		return
		;;
	--*) return ;; # its value, which only the user knows
	esac
	case $cur in
	-*)
		mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$cur")
		;;
	unix:*)
		mapfile -t COMPREPLY < <(compgen -f -P unix: -- "${cur#unix:}")
		# Where readline breaks words at colons, it replaces only what follows.
		[[ $COMP_WORDBREAKS == *:* ]] && COMPREPLY=("${COMPREPLY[@]#unix:}")
		;;
	*)
		[[ $command == version ]] || mapfile -t COMPREPLY < <(compgen -W 'tcp: unix:' -- "$cur")
		compopt -o nospace 2>/dev/null
		;;
	esac
}

complete -F _hawser hawser
