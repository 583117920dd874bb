internal import ByteText
import HTTPExchange
import HTTPTypes
import InitAPI
import WeightInit

/// Models by name, and the Hub's protocol for them: the requests of `huggingface_hub`, answered as `huggingface.co`
/// answers them.
extension Route {
    static let models: [Route] = [
        model,
        .repository("/api/models/{org}/{name}", Found.information),
        .repository("/api/models/{org}/{name}/revision/{revision}", Found.information),
        .repository("/api/models/{org}/{name}/tree/{revision}", Found.tree),
        // A repository has no directories.
        .repository("/api/models/{org}/{name}/tree/{revision}/{path}", isOpen: true) { _, _, _ in .missing },
        .repository("/{org}/{name}/resolve/{revision}/{file}", isOpen: true, Found.file),
    ]

    /// `/init` with a model's request.
    private static let model = Route(path: RoutePath("/models/{org}/{name}"), methods: [.get, .head]) {
        service,
        request throws(Problem) in
        let model = try service.model(request)
        return try request.respond(with: service.operations, for: model.planningNeed) { asking throws(InitError) in
            try ModelQuestion(model, request.members).answer(asking)
        }
    }

    /// The route of a part of a repository. The captures of its path begin with organisation, name and, if there is
    /// one, revision.
    private static func repository(
        _ path: Text,
        isOpen: Bool = false,
        _ find: @escaping @Sendable (ModelRepository, _ file: Text, Asking) throws(InitError) -> Found
    ) -> Route {
        Route(path: RoutePath(path, isOpen: isOpen), methods: [.get, .head], ignoresQuery: true) {
            service,
            request throws(Problem) in
            let repository = try service.repository(request)
            let file = request.captures.last ?? ""
            let asking = request.asking(service.operations)
            let found = try request.form.refusing { () throws(InitError) in try find(repository, file, asking) }
            switch found {
            case .exceeds:
                return .exceeds(request.allowance.planning(repository.model.planningNeed))
            case .missing:
                throw Problem(fileNotFound: file, in: repository)
            case .resource(var representation):
                representation.isNegotiated = false
                representation.fields.append(
                    HeaderFields.Further.repositoryCommit,
                    repository.revision.commit.description
                )
                return try representation.respond(to: request)
            }
        }
    }
}

/// Result of a lookup in a repository.
private enum Found {
    case resource(Representation)
    case missing
    case exceeds

    /// A file.
    @Sendable static func file(_ repository: ModelRepository, _ name: Text, _ asking: Asking) throws(InitError) -> Found
    {
        switch try repository.file(name, asking) {
        case .exceeds: return .exceeds
        case .missing: return .missing
        case .found(let answer):
            var representation = Representation(answer)
            // Names of files need no escaping: they have only letters, digits and a few signs.
            representation.fields.append(.contentDisposition, #"inline; filename="\#(name)";"#)
            return .resource(representation)
        }
    }

    /// The Hub's JSON about a repository, as far as the service knows its members.
    @Sendable static func information(
        _ repository: ModelRepository,
        _: Text,
        _ asking: Asking
    ) throws(InitError) -> Found {
        guard let entries = try repository.entries(asking) else { return .exceeds }
        let model = repository.model
        let siblings = entries.map { entry in
            JSONValue.object([JSONValue.Member(name: "rfilename", value: .string(entry.name))] + entry.blob("blobId"))
        }
        let isOfTransformers = model.files.contains { $0.name == "config.json" }
        let tags: [Text] = (isOfTransformers ? ["transformers"] : []) + ["safetensors", "weight-init"]
        var members: [JSONValue.Member] = []
        members.append("_id", .string(Text(decoding: Array(repository.revision.commit.utf8.prefix(24)))))
        members.append("id", .string(model.name))
        members.append("modelId", .string(model.name))
        members.append("author", .string(model.name.split(separator: "/")[0]))
        members.append("sha", .string(repository.revision.commit))
        members.append("private", .boolean(false))
        members.append("gated", .boolean(false))
        members.append("disabled", .boolean(false))
        members.append("tags", .strings(tags))
        members.append("library_name", isOfTransformers ? "transformers" : nil)
        members.append("siblings", .array(siblings))
        return .document(.object(members), of: repository)
    }

    /// All files with their sizes.
    @Sendable static func tree(_ repository: ModelRepository, _: Text, _ asking: Asking) throws(InitError) -> Found {
        guard let entries = try repository.entries(asking) else { return .exceeds }
        let files = entries.map { entry in
            JSONValue.object(
                [
                    JSONValue.Member(name: "type", value: "file"),
                    JSONValue.Member(name: "path", value: .string(entry.name)),
                ] + entry.blob("oid")
            )
        }
        return .document(.array(files), of: repository)
    }

    private static func document(_ document: JSONValue, of repository: ModelRepository) -> Found {
        .resource(
            Representation(
                document: document.encoded,
                mediaType: Answer.json,
                caching: Representation.Caching(repository.lifetime)
            )
        )
    }
}

extension ModelRepository.Entry {
    /// Bytes of a Git LFS pointer, the file that stands for a large one in a Git repository.
    private static let pointerBytes = 134

    /// Identifier, size and, if it is known, SHA-256, which the Hub gives for large files only.
    fileprivate func blob(_ identifier: Text) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        // As many digits as a Git object ID has. The real object ID is not known before the bytes are made.
        members.append(identifier, .string(identity.digest + Text(decoding: Array(identity.digest.utf8.prefix(8)))))
        members.append("size", .integer(byteCount))
        members.append(
            "lfs",
            sha256.map { digest in
                [
                    "oid": .string(digest), "sha256": .string(digest), "size": .integer(byteCount),
                    "pointerSize": .integer(Self.pointerBytes),
                ]
            }
        )
        return members
    }
}

extension InitService {
    /// The problem for a path whose model name lacks the organisation, as some of the Hub's names do. It offers full
    /// names.
    func problem(modelAloneIn target: RequestTarget) -> Problem? {
        let segments = Array(target.segments.dropFirst(target.segments.first == "api" ? 1 : 0))
        let name: Text?
        switch segments.count {
        case 2 where segments[0] == "models" && !segments[1].isEmpty: name = segments[1]
        case 3... where segments[0] == "models" && ["revision", "tree"].contains(segments[2]): name = segments[1]
        case 3... where segments[1] == "resolve": name = segments[0]
        default: name = nil
        }
        guard let name else { return nil }
        do {
            _ = try operations.models.require(name)
            return nil
        } catch {
            return Problem(hub: "RepoNotFound", error.detail, allowed: error.allowed)
        }
    }

    /// The model that a path names in its first two captures.
    ///
    /// - Throws: 404.
    fileprivate func model(_ request: RouteRequest) throws(Problem) -> CatalogueModel {
        do {
            // A capture with a slash in it matches no name.
            return try operations.models.require(request.captures[0] + "/" + request.captures[1])
        } catch {
            throw Problem(hub: "RepoNotFound", error.detail, allowed: error.allowed)
        }
    }

    /// - Throws: 404.
    fileprivate func repository(_ request: RouteRequest) throws(Problem) -> ModelRepository {
        let model = try model(request)
        let revision = request.captures.count > 2 ? request.captures[2] : "main"
        guard let repository = ModelRepository(model, revision: revision, operations) else {
            throw Problem(
                hub: "RevisionNotFound",
                "\(model.name) has no revision \(revision.quotedForMessage): a revision is main, seed-N with N from "
                    + "−2^63 to 2^64 − 1, or a commit of this service"
            )
        }
        return repository
    }
}

extension Problem {
    /// A problem with the Hub's error code.
    fileprivate init(hub code: String, _ detail: String, allowed: [Text] = []) {
        self.init(.notFound, detail, faults: [Fault(place: nil, detail: detail, allowed: allowed)])
        fields.append(HeaderFields.Further.errorCode, code)
        // The value of a header must be ASCII.
        let message = detail.unicodeScalars.map { (" "..."~").contains($0) ? String($0) : "?" }.joined()
        fields.append(HeaderFields.Further.errorMessage, message)
    }

    fileprivate init(fileNotFound file: Text, in repository: ModelRepository) {
        self.init(
            hub: "EntryNotFound",
            "\(repository.model.name) has no file \(file.quotedForMessage)"
        )
        fields.append(HeaderFields.Further.repositoryCommit, repository.revision.commit.description)
    }
}
