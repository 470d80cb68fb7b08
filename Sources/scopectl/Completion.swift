import ArgumentParser
import Dispatch
import Foundation
import ScopeClient
import ScopeModel

/// Ids that the daemon has, completed by the shell.
extension CompletionKind {
  static var companies: CompletionKind { daemon(.company) }
  static var users: CompletionKind { daemon(.user) }
  static var groups: CompletionKind { daemon(.group) }
  static var projects: CompletionKind { daemon(.project) }
  static var roles: CompletionKind { daemon(.role) }
  static var lists: CompletionKind { daemon(.objectOf(.list)) }
  static var fields: CompletionKind { daemon(.objectOf(.contactField)) }
  static var subjects: CompletionKind { daemon(.subject) }
  static var objects: CompletionKind { daemon(.object) }

  private static func daemon(_ kind: Completer.Kind) -> CompletionKind {
    .custom { words, index, prefix in
      guard words.indices.contains(index) else { return [] }
      let address = value(["-a", "--address"], "SCOPED_ADDRESS", words) ?? ConnectionOptions.standardAddress
      let company = value(["-c", "--company"], "SCOPED_COMPANY", words) ?? ""
      let completer = Completer(now: { DispatchTime.now().uptimeNanoseconds / 1_000_000 }) { milliseconds in
        try Client(address, company: company, timeoutMilliseconds: milliseconds)
      }
      return completer.candidates(for: prefix, kind)
    }
  }

  /// Of an option on the line, or else of the environment.
  private static func value(_ names: [String], _ variable: String, _ words: [String]) -> String? {
    for (index, word) in words.enumerated() {
      if names.contains(word), index + 1 < words.count { return words[index + 1] }
      if let value = names.lazy.compactMap({ word.behind("\($0)=") }).first { return value }
    }
    return (try? CommandArguments.environment(variable)) ?? nil
  }
}

/// What the argument parser makes, for a shell that parts words at colons: they stand in TYPE:ID, so the words are put
/// together again before they are looked at.
enum BashCompletion {
  /// Nil: another shell's is asked for, or none.
  static func script(for arguments: [String]) -> String? {
    guard arguments.first == "--generate-completion-script", arguments.dropFirst() == ["bash"] else { return nil }
    let script = Scopectl.completionScript(for: .bash)
    let last = "complete -o filenames -F _scopectl scopectl"
    guard let place = script.range(of: last) else { return script }
    return script.replacingCharacters(in: place, with: wholeWords)
  }

  private static let wholeWords = #"""
    # Bash parts words at colons. Puts TYPE:ID together again, and completes it.
    __scopectl_whole_words() {
        local -a words=()
        local word rest="${COMP_LINE}" trimmed
        local -i index cword=0
        for index in "${!COMP_WORDS[@]}"; do
            word="${COMP_WORDS[index]}"
            trimmed="${rest#"${rest%%[![:space:]]*}"}"
            if [[ ${#words[@]} -gt 0 && "${trimmed}" == "${rest}" && ("${word}" == :* || "${words[-1]}" == *:) ]]; then
                words[-1]+="${word}"
            else
                words+=("${word}")
            fi
            [[ ${index} -eq ${COMP_CWORD} ]] && cword=$((${#words[@]} - 1))
            rest="${trimmed#"${word}"}"
        done
        local -a COMP_WORDS=("${words[@]}")
        local -i COMP_CWORD=cword
        local whole="${words[cword]}"
        _scopectl "${1}" "${whole}" "${words[cword - 1]}"
        # It replaces what stands behind the last colon alone.
        if [[ "${whole}" == *:* && "${COMP_WORDBREAKS}" == *:* ]]; then
            COMPREPLY=("${COMPREPLY[@]#"${whole%"${whole##*:}"}"}")
        fi
    }

    complete -o filenames -F __scopectl_whole_words scopectl
    """#
}
