# Dies of an error that another one caused.
warn "starting"

class Unhappy < StandardError; end

def read(settings)
  settings.fetch(:port)
end

def start
  read({})
rescue KeyError
  raise Unhappy, "no settings"
end

start
