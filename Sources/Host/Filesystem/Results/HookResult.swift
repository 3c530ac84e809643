import Ruby

/// What a hook came to, before anybody has looked at it.
struct HookResult {
  enum Content {
    case value(Value)
    /// The class has no such method.
    case missing
    case raised(RubyException)
  }

  // Not counted: the task pins the node, and is kept by the caller that lets it go on.
  /// Whose hook it was: a continuation that takes the task from here need not capture it.
  unowned(unsafe) let task: ScriptTask
  let hook: Hook
  unowned(unsafe) let node: Node?
  let content: Content

  /// The method that made an exception of it.
  var method: String {
    task.isFirstCall && node?.instance == nil ? HookResult.initializer : hook.name
  }
  static let initializer = "initialize"

  /// Whether the class has the hook at all.
  var isMissing: Bool {
    if case .missing = content { true } else { false }
  }
}
