internal import ByteText

/// A module of `torch.nn` as its constructor leaves it.
struct Module: Sendable {
    /// A parameter or a buffer.
    struct Slot: Sendable {
        let name: Text
        let isParameter: Bool
        /// Index of the tensor's ``LayerBuilder/Cell``: two slots with one cell are one tensor.
        var cell: Int
    }

    /// The module's class and its base classes.
    let types: [Text]
    var slots: [Slot]
    /// The submodules in the order of their registration, which is the order of `modules()` and of the state dict.
    var children: [(name: Text, module: Module)]

    init(types: [Text], slots: [Slot] = [], children: [(name: Text, module: Module)] = []) {
        self.types = types
        self.slots = slots
        self.children = children
    }

    /// Number of modules, this one included.
    var count: Int {
        children.reduce(1) { $0 + $1.module.count }
    }

    /// Visits this module, then its children, each with the prefix of its parameters' names.
    func walk<Failure: Error>(
        prefix: Text = "",
        _ visit: (Module, Text) throws(Failure) -> Void
    ) throws(Failure) {
        try visit(self, prefix)
        for child in children {
            try child.module.walk(prefix: Module.prefix(prefix, child.name), visit)
        }
    }

    /// Names of slots of this module and of all modules below it: within their own modules, and from this one.
    func names(of isWanted: (Slot) -> Bool) -> (own: [Text], whole: [Text]) {
        var (own, whole): ([Text], [Text]) = ([], [])
        walk { module, prefix in
            for slot in module.slots where isWanted(slot) {
                own.append(slot.name)
                whole.append(prefix + slot.name)
            }
        }
        return (own, whole)
    }

    /// The prefix of the names inside a child; a child without a name adds nothing.
    static func prefix(_ prefix: Text, _ name: Text) -> Text {
        name.isEmpty ? prefix : prefix + name + "."
    }

    /// Replaces each slot, in the order of ``walk(prefix:_:)``.
    mutating func mapSlots<Failure: Error>(
        prefix: Text = "",
        _ transform: (Slot, Text) throws(Failure) -> Slot
    ) throws(Failure) {
        for index in slots.indices {
            slots[index] = try transform(slots[index], prefix + slots[index].name)
        }
        for index in children.indices {
            try children[index].module.mapSlots(prefix: Module.prefix(prefix, children[index].name), transform)
        }
    }
}
