package import ByteText
import Synchronization
package import WeightInit

/// Models by their names: the built-in ones, and those that the service's operator has added.
public final class ModelCatalogue: Sendable {
    private let added: Mutex<[Text: CatalogueModel]>
    private let observers = Mutex<[@Sendable () -> Void]>([])

    /// The built-in models alone.
    public convenience init() {
        self.init(adding: [])
    }

    /// - Parameter models: Models to add to the built-in ones; each replaces a built-in model of the same name.
    package init(adding models: [CatalogueModel]) {
        added = Mutex(Self.byName(models))
    }

    /// Replaces the models added before by these; the built-in models stay.
    package func replace(by models: [CatalogueModel]) {
        let new = Self.byName(models)
        added.withLock { $0 = new }
        for observer in observers.withLock({ $0 }) { observer() }
    }

    /// Registers a function that is called whenever the models have been replaced.
    func observe(_ observer: @escaping @Sendable () -> Void) {
        observers.withLock { $0.append(observer) }
    }

    package subscript(name: Text) -> CatalogueModel? {
        added.withLock { $0[name] } ?? BuiltInModels.all[name]
    }

    /// All models, sorted by name.
    package var all: [CatalogueModel] {
        added.withLock { $0 }.merging(BuiltInModels.all) { own, _ in own }.values.sorted { $0.name < $1.name }
    }

    /// - Throws: `invalid` with the nearest names if there is no such model.
    package func require(_ name: Text) throws(InitError) -> CatalogueModel {
        if let model = self[name] { return model }
        let suggestion = Suggestion(for: name, among: all.map(\.name))
        // If no full name is near, the part behind the organisation may still be right: the organisation can be wrong
        // or missing.
        let likely = suggestion.likely.isEmpty ? ofAnyOrganisation(name) : suggestion.likely
        let others = suggestion.ordered.filter { !likely.contains($0) }
        throw .unknown("model", name, in: [], likely: likely, allowed: Array((likely + others).prefix(Self.offered)))
    }

    /// Names of models whose last part, behind the organisation, equals the last part of `name` or is near it.
    private func ofAnyOrganisation(_ name: Text) -> [Text] {
        let models = all.map { (name: $0.name, last: Self.lastPart($0.name)) }
        let given = Self.lastPart(name)
        let same = models.filter { $0.last == given }
        guard same.isEmpty else { return same.prefix(3).map(\.name) }
        let likely = Suggestion(for: given, among: models.map(\.last)).likely
        return models.filter { likely.contains($0.last) }.prefix(3).map(\.name)
    }

    private static func lastPart(_ name: Text) -> Text { name.split(separator: "/").last ?? name }

    /// Maximum number of names that an error offers.
    private static let offered = 20

    private static func byName(_ models: [CatalogueModel]) -> [Text: CatalogueModel] {
        Dictionary(models.map { ($0.name, $0) }) { first, _ in first }
    }
}
