import ByteText
import Glibc
import InitAPI
import WeightInit

/// A directory of models: `organisation/name/init.json`, and files beside it.
///
/// A model that cannot be read or made is left out, with one line that gives the reason. Symbolic links, as in a
/// mounted ConfigMap, are followed only to files within the directory.
///
/// A directory with more than `maximumModelFiles` entries is left out. Once more than as many have been read in all, in the
/// order of their names, no further directory is read.
struct ModelDirectory {
    let path: String
    let limits: ServiceLimits

    /// Reads all models.
    ///
    /// - Parameter report: Takes a sentence for each model or file that is left out.
    /// - Throws: `Failure` if the directory cannot be read.
    func models(_ report: (String) -> Void) throws(Failure) -> [CatalogueModel] {
        guard let root = realpath(path, nil) else { throw .last("cannot read \(path)") }
        defer { free(root) }
        var reader = ModelReader(root: String(cString: root), limit: limits.maximumModelBytes)
        var models: [CatalogueModel] = []
        var left = limits.maximumModelFiles
        let organisations: [String]
        do {
            organisations = try names(in: path, &left, report)
        } catch {
            throw Failure("\(path): \(error)")
        }
        for organisation in organisations where isDirectory(path + "/" + organisation) {
            let directory = path + "/" + organisation
            guard left >= 0 else { return end(of: models, before: directory, report) }
            do {
                for name in try names(in: directory, &left, report) where isDirectory(directory + "/" + name) {
                    guard left >= 0 else { return end(of: models, before: directory + "/" + name, report) }
                    do {
                        models.append(try model(organisation, name, &reader, &left, report))
                    } catch {
                        report("\(directory)/\(name) is left out: \(error)")
                    }
                }
            } catch {
                report("\(directory) is left out: \(error)")
            }
        }
        return models
    }

    /// - Parameter left: Files and directories that may still be looked at.
    private func model(
        _ organisation: String,
        _ name: String,
        _ reader: inout ModelReader,
        _ left: inout Int,
        _ report: (String) -> Void
    ) throws(Failure) -> CatalogueModel {
        let directory = "\(path)/\(organisation)/\(name)"
        guard let fullName = CatalogueModel.name(Text(organisation), Text(name)) else {
            throw Failure("names have letters, digits, dots, dashes and underscores only")
        }
        let names = try names(in: directory, &left, report)
        guard names.contains(where: { Text($0) == CatalogueModel.requestFile }) else {
            throw Failure("there is no file \(CatalogueModel.requestFile)")
        }
        let room = reader.room
        var files: [ModelFile] = []
        do {
            for name in names where !isDirectory("\(directory)/\(name)") {
                guard CatalogueModel.isName(Text(name)) else {
                    throw Failure("\(Text(name).quotedForMessage) is not a valid file name for a model")
                }
                files.append(ModelFile(name: Text(name), bytes: try reader.bytes(of: "\(directory)/\(name)")))
            }
            return try CatalogueModel(name: fullName, files: files, limits: limits)
        } catch let error as InitError {
            reader.room = room
            throw Failure("\(CatalogueModel.requestFile): \(error.place)\(error.message)")
        } catch let error as Failure {
            reader.room = room
            throw error
        } catch {
            throw Failure("\(error)")
        }
    }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Names in a directory, without those that begin with a dot, sorted by their bytes.
    ///
    /// - Parameter left: Files and directories that may still be looked at; negative once there were more.
    /// - Throws: `Failure` if the directory cannot be read, or has more entries than all directories may have.
    private func names(in path: String, _ left: inout Int, _ report: (String) -> Void) throws(Failure) -> [String] {
        guard let directory = opendir(path) else { throw .last("cannot read it") }
        defer { closedir(directory) }
        var names: [Text] = []
        var count = 0
        while let entry = readdir(directory) {
            // The name ends with a zero byte, within the entry.
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(validating: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            count += 1
            guard count <= limits.maximumModelFiles else { throw Failure("it \(tooMany)") }
            guard let name else {
                report("\(path): a name that is not UTF-8 is left out")
                continue
            }
            guard !name.utf8.starts(with: ".".utf8) else { continue }
            names.append(Text(name))
        }
        left -= count
        return names.sorted().map(\.description)
    }

    private func end(
        of models: [CatalogueModel],
        before place: String,
        _ report: (String) -> Void
    ) -> [CatalogueModel] {
        report("\(place) and all later models are left out: \(path) \(tooMany)")
        return models
    }

    private var tooMany: String {
        "has more than \(limits.maximumModelFiles) files and directories (--max-model-files)"
    }
}

/// Reads files that lie in a directory, up to a number of bytes in all.
private struct ModelReader {
    /// Absolute, without symbolic links.
    let root: String
    /// Bytes of all files.
    let limit: Int
    /// Bytes that may still be read.
    var room: Int

    init(root: String, limit: Int) {
        self.root = root
        self.limit = limit
        room = limit
    }

    mutating func bytes(of path: String) throws(Failure) -> [UInt8] {
        // Opening a pipe would wait for its other end.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw .last("cannot read \(path)") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure("\(path) is not a regular file")
        }
        // Checked for the open file, so that no link can be changed in between.
        guard let place = Self.place(of: descriptor), place.utf8.starts(with: (root + "/").utf8) else {
            throw Failure("\(path) is a link that leaves the directory")
        }
        guard status.st_size <= room else {
            throw Failure(
                "with \(path) the files of all models are over the limit of \(limit) bytes (--max-model-bytes)"
            )
        }
        let bytes = try contents(of: descriptor, path, limit: room)
        room -= bytes.count
        return bytes
    }

    /// Path of an open file; `nil` if the system does not tell.
    private static func place(of descriptor: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count)
        return count > 0 ? String(validating: buffer[..<count], as: UTF8.self) : nil
    }
}

extension InitError {
    /// Place in a document, before a message.
    fileprivate var place: String {
        path.isEmpty ? "" : path.map { "/" + $0.description }.joined() + ": "
    }
}
