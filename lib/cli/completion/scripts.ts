import { FILES } from "./answer.ts";

/** The shells that scripts are made for. */
export type Shell = "bash" | "zsh" | "fish";

/**
 * The script for a shell. It asks this program at each press of the key, by the hidden command `complete`, so that it need not
 * change when the commands do.
 * @param program the name that is typed: "virtx"
 */
export function completionScript(shell: Shell, program: string): string {
  return SCRIPTS[shell].replaceAll("@PROGRAM@", program).replaceAll("@FILES@", FILES);
}

/** In COMP_WORDS an equals sign or colon is a word of its own; the line is taken apart without that. */
const BASH = `# Completion of @PROGRAM@ for bash.
_@PROGRAM@_complete() {
  local line=\${COMP_LINE:0:COMP_POINT} IFS=$' \\t\\n' words=() current= answer word about
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=\${words[\${#words[@]}-1]}
  answer=$(@PROGRAM@ complete -- "\${words[@]:1}" 2>/dev/null) || return 0
  local cut=
  # Readline replaces only what stands behind the last = or :.
  if [[ $COMP_WORDBREAKS == *=* && $current == *=* ]]; then cut=\${current%"\${current##*=}"}; fi
  if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then cut=\${current%"\${current##*:}"}; fi
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    if [[ $word == @FILES@ ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${current#"$cut"}")
    elif [[ -n $word ]]; then
      printf -v word %q "\${word#"$cut"}"
      COMPREPLY+=("$word")
    fi
  done <<<"$answer"
}
complete -F _@PROGRAM@_complete @PROGRAM@
`;

const ZSH = `#compdef @PROGRAM@
# Completion of @PROGRAM@ for zsh.
_@PROGRAM@() {
  local answer word about
  local -a found
  answer=$(@PROGRAM@ complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null) || return 1
  while IFS=$'\\t' read -r word about; do
    if [[ $word == @FILES@ ]]; then
      _files
    elif [[ -n $word ]]; then
      found+=("\${word//:/\\\\:}\${about:+:$about}")
    fi
  done <<<"$answer"
  (( $#found )) && _describe -V @PROGRAM@ found
}
if [[ $funcstack[1] == _@PROGRAM@ ]]; then _@PROGRAM@ "$@"; else compdef _@PROGRAM@ @PROGRAM@; fi
`;

const FISH = `# Completion of @PROGRAM@ for fish.
function __@PROGRAM@_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (@PROGRAM@ complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = "@FILES@"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c @PROGRAM@ -f -a '(__@PROGRAM@_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
