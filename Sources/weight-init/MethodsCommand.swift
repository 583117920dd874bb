import ArgumentParser
import ByteText
import InitAPI
import WeightInit

struct MethodsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "methods",
        abstract: "Print the methods with their arguments, and activations, dtypes, formats and layers.",
        discussion: .beginning(
            with: [
                "weight-init methods",
                "weight-init methods layers",
                "weight-init methods dtypes --format json",
            ],
            "Prints the JSON that /methods answers, or a list of it, or tables on a terminal."
        )
    )

    @Argument(
        help: "List to print: \(CatalogueTable.all.map(\.name.description).joined(separator: ", ")); without it, all.",
        completion: .list(CatalogueTable.all.map(\.name.description))
    )
    var list: String?

    @OptionGroup
    var form: PrintOptions

    func run() throws {
        let tables: [CatalogueTable]
        if let list {
            let table = CatalogueTable.all.first { $0.name == Text(list) }
            guard let table else {
                let known = CatalogueTable.all.map(\.name)
                throw ValidationError(.unknown("list", Text(list), in: ["list"], known: known), positional: ["list"])
            }
            tables = [table]
        } else {
            tables = CatalogueTable.all
        }
        var catalogue = MethodsQuestion.catalogue
        if list != nil {
            catalogue = .object(
                tables.map { JSONValue.Member(name: $0.name, value: catalogue[$0.name] ?? .array([])) }
            )
        }
        try show(catalogue, as: form.format) { style in
            tables.map { $0.text(of: catalogue, style) }.joined(separator: "\n")
        }
    }
}

/// A list of a document as a table.
struct CatalogueTable {
    /// Member of the document.
    let name: Text
    private let heading: [String]
    /// Indices of columns of numbers.
    private let numbers: Range<Int>
    private let cells: @Sendable (JSONValue) -> [String]

    static let all = [
        CatalogueTable("methods", ["method", "aliases", "arguments"]) { method in
            // Every method has an alias with PyTorch's underscore.
            let aliases = method.words("aliases").filter { !$0.hasSuffix("_") }
            return [method.cell("name"), aliases.joined(separator: ", "), method.arguments]
        },
        CatalogueTable("activations", ["activation", "convention", "parameter"]) { activation in
            let parameter = activation["param"].flatMap { $0 == .null ? nil : $0.argument }
            return [activation.cell("name"), activation.cell("convention"), parameter ?? ""]
        },
        CatalogueTable("dtypes", ["dtype", "bytes", "aliases"]) { dtype in
            [dtype.cell("name"), dtype.cell("item_bytes"), dtype.words("aliases").joined(separator: ", ")]
        },
        CatalogueTable("formats", ["format", "media type", "tensors", "dtypes"]) { format in
            [
                format.cell("name"), format.cell("media_type"),
                format["models"] == .boolean(true) ? "any number" : "one",
                format.words("dtypes").joined(separator: ", "),
            ]
        },
        CatalogueTable("layers", ["layer", "arguments"]) { layer in
            [layer.cell("name"), layer["any_arguments"] == .boolean(true) ? "any" : layer.arguments]
        },
    ]

    /// The catalogue of models, in the answer of `models`.
    static let models = CatalogueTable(
        "models",
        ["model", "tensors", "parameters", "size", "description"],
        numbers: 1..<4
    ) { model in
        [
            model.cell("name"), model.cell("tensors").digitsGrouped, model.cell("parameters").digitsGrouped,
            Double(model.cell("bytes")).map(ByteText.of) ?? "", model.cell("description"),
        ]
    }

    private init(
        _ name: Text,
        _ heading: [String],
        numbers: Range<Int> = 0..<0,
        _ cells: @escaping @Sendable (JSONValue) -> [String]
    ) {
        self.name = name
        self.heading = heading
        self.numbers = numbers
        self.cells = cells
    }

    func text(of catalogue: JSONValue, _ style: TextStyle) -> String {
        Table.aligned(
            [heading] + (catalogue[name]?.elements ?? []).map(cells),
            headedIn: style,
            within: Screen.output.columns ?? 100,
            numbers: numbers
        )
    }
}

extension String {
    /// Digits in groups of three.
    fileprivate var digitsGrouped: String {
        let groups = stride(from: count % 3 - 3, to: count, by: 3).map { start in
            String(dropFirst(max(0, start)).prefix(start < 0 ? start + 3 : 3))
        }
        return groups.filter { !$0.isEmpty }.joined(separator: " ")
    }
}

extension JSONValue {
    fileprivate func cell(_ name: Text) -> String { self[name].map(Table.cell) ?? "" }

    fileprivate func words(_ name: Text) -> [String] { self[name]?.elements.map(Table.cell) ?? [] }

    /// The arguments of a method or layer, such as `gain=1.0`. An argument without a default has only its name.
    fileprivate var arguments: String { (self["parameters"]?.elements ?? []).map(\.argument).joined(separator: " ") }

    fileprivate var argument: String {
        cell("name") + (self["default"].map { "=" + ($0 == .null ? "null" : Table.cell($0)) } ?? "")
    }
}
