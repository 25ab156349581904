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

# tree DIR lists what is in DIR, links with where they lead, and the text of
# files that are named version. Names of ours that are not documented are left out.
tree() {
	cd "$1" 2>/dev/null || { echo "  (not there)"; return; }
	find . -name '.stretcher-*' -prune -o ! -type d -print | sort | while read -r name; do
		if test -L "$name"; then
			echo "  ${name#./} -> $(readlink "$name")"
		elif test "${name##*/}" = version; then
			echo "  ${name#./}: $(cat "$name")"
		else
			echo "  ${name#./}"
		fi
	done
}

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
	echo "state:"
	(cd "@STATE@" && find history.db cache locks logs running trees -type f | sort | sed 's/^/  /')
	echo "beside dest: $(ls -A "${STRETCHER_DEST%/*}" | grep -v '^\.stretcher-' | tr '\n' ' ')"
	echo "dest:"
	(tree "$STRETCHER_DEST")
	test -z "$STRETCHER_STAGING" || echo "staged:"
	test -z "$STRETCHER_STAGING" || (tree "$STRETCHER_STAGING")
}

{
	echo "# $STRETCHER_POINT${*:+ }$*"
	if test "$mode" = files; then files; else environment; fi
} >> "@WORK@/seen"
