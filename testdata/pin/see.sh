#!/bin/sh
# see env|whole|files [WORD...]: appends to the file seen what a command or
# hook sees at this moment. WORDs name who sees it, beside the point.
#
#   env    working directory, standard input, the variables that we set
#   whole  the same, with all variables that there are
#   files  step and files: documented ones of the state directory, dest, the
#          staged tree. The place of the staged tree is not said.
environ=$(tr '\0' '\n' < /proc/$$/environ | sort)
mode=$1
shift
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# tree DIR lists on one line what is in DIR, links with where they lead and
# files that are named version with their text, but no temporary name of ours.
tree() {
	test -n "$1" || { echo " nothing"; return; }
	cd "$1" 2>/dev/null || { echo " not there"; return; }
	find . -name '.stretcher-*' -prune -o ! -type d -print | sort | while read -r name; do
		if test -L "$name"; then
			printf ' %s' "${name#./}->$(readlink "$name")"
		elif test "${name##*/}" = version; then
			printf ' %s' "${name#./}=$(cat "$name")"
		else
			printf ' %s' "${name#./}"
		fi
	done
	echo
}

# line WORD prints WORD and the lines of its input on one line.
line() { echo "$1 $(tr '\n' ' ' | sed 's/ $//')"; }

variables() {
	case $mode in
	whole) echo "$environ" | grep -v -E '^(PWD|OLDPWD|SHLVL|_)=' ;;
	*) echo "$environ" | grep -E '^(STRETCHER|HOOK|PORTER|PIN)' ;;
	esac
}

environment() {
	echo "in $(pwd -P)"
	input=$(cat)
	case $input in
	"") echo "stdin is empty" ;;
	"{"*) echo "stdin is $input" ;;
	*" error: "*) echo "stdin is the log, with the error" ;;
	*) echo "stdin is the log" ;;
	esac
	variables
}

files() {
	echo "step $("@PROGRAM@" history --state-dir "@STATE@" --limit 1 --json | sed 's/.*"step":"\([^"]*\)".*/\1/')"
	for dir in cache locks logs running trees; do
		(cd "@STATE@" && find "$dir" -type f | sort | line "$dir:" | sed "s| $dir/| |g")
	done
	find "${STRETCHER_DEST%/*}" -mindepth 1 -maxdepth 1 ! -name '.stretcher-*' -printf '%f\n' | sort | line "beside dest:"
	if test -d "$STRETCHER_DEST/releases"; then
		echo "current: $(readlink "$STRETCHER_DEST/current")$(tree "$STRETCHER_DEST/current/")"
		find "$STRETCHER_DEST/releases" -mindepth 1 -maxdepth 1 ! -name '.stretcher-*' -printf '%f\n' | sort | line "releases:"
	else
		echo "dest:$(tree "$STRETCHER_DEST")"
	fi
	case $STRETCHER_POINT in
	post_extract | pre_sync) echo "staged:$(tree "$STRETCHER_STAGING")" ;; # it may be gone after the sync
	esac
}

{
	echo "# $STRETCHER_POINT${*:+ }$*"
	if test "$mode" = files; then files; else environment; fi
} >> "@WORK@/seen"
