package agentcore

import (
	"context"

	"github.com/sunaba-dev/sunaba/internal/codeinterpreter"
	"github.com/sunaba-dev/sunaba/internal/wire"
)

type invokeInput struct {
	Interpreter string         `uri:"codeInterpreterIdentifier" required:"true"`
	SessionID   sessionID      `header:"x-amzn-code-interpreter-session-id"`
	TraceID     traceHeader    `header:"X-Amzn-Trace-Id"`
	TraceParent traceHeader    `header:"traceparent"`
	Name        string         `aws:"name" required:"true" enum:"executeCode,executeCommand,readFiles,listFiles,removeFiles,writeFiles,startCommandExecution,getTask,stopTask"`
	Arguments   *toolArguments `aws:"arguments"`
}

// maxLenString is the model's longest string: 100 MB.
type maxLenString string

func (maxLenString) Rule() wire.Rule { return wire.Length(0, 100_000_000) }

type toolArguments struct {
	Code          *maxLenString       `aws:"code"`
	Language      string              `aws:"language" enum:"python,javascript,typescript"`
	ClearContext  bool                `aws:"clearContext"`
	Command       *maxLenString       `aws:"command"`
	Path          *maxLenString       `aws:"path"`
	Paths         []maxLenString      `aws:"paths"`
	Content       []inputContentBlock `aws:"content"`
	DirectoryPath *maxLenString       `aws:"directoryPath"`
	TaskID        *maxLenString       `aws:"taskId"`
	Runtime       string              `aws:"runtime" enum:"nodejs,deno,python"`
}

type inputContentBlock struct {
	Path maxLenString  `aws:"path" required:"true"`
	Text *maxLenString `aws:"text"`
	Blob []byte        `aws:"blob" max:"100000000"`
}

type invokeOutput struct {
	SessionID string      `header:"x-amzn-code-interpreter-session-id"`
	Stream    wire.Events `stream:"stream"`
}

type toolResult struct {
	Content    []contentBlock     `aws:"content"`
	Structured *structuredContent `aws:"structuredContent"`
	IsError    bool               `aws:"isError"`
}

type contentBlock struct {
	Type        string           `aws:"type" required:"true"`
	Text        *string          `aws:"text"`
	MIMEType    string           `aws:"mimeType"`
	URI         string           `aws:"uri"`
	Name        string           `aws:"name"`
	Description string           `aws:"description"`
	Size        *int64           `aws:"size"`
	Resource    *resourceContent `aws:"resource"`
}

type resourceContent struct {
	Type     string  `aws:"type" required:"true"`
	URI      string  `aws:"uri"`
	MIMEType string  `aws:"mimeType"`
	Text     *string `aws:"text"`
	Blob     []byte  `aws:"blob"`
}

type structuredContent struct {
	TaskID        string   `aws:"taskId"`
	TaskStatus    string   `aws:"taskStatus"`
	Stdout        *string  `aws:"stdout"`
	Stderr        *string  `aws:"stderr"`
	ExitCode      *int     `aws:"exitCode"`
	ExecutionTime *float64 `aws:"executionTime"` // seconds, whatever the model's documentation says
}

func (a *API) invoke(ctx context.Context, in *invokeInput) (*invokeOutput, error) {
	var args codeinterpreter.Arguments
	if in.Arguments != nil {
		args = in.Arguments.toDomain()
	}
	r, err := a.Interpreters.Invoke(ctx, scope(ctx), in.Interpreter, string(in.SessionID), codeinterpreter.Tool(in.Name), args)
	if err != nil {
		return nil, err
	}
	return &invokeOutput{SessionID: string(in.SessionID), Stream: wire.One(wire.Event{Type: "result", Payload: resultFromDomain(r)})}, nil
}

func (t *toolArguments) toDomain() codeinterpreter.Arguments {
	args := codeinterpreter.Arguments{Code: (*string)(t.Code), Language: t.Language, Runtime: t.Runtime, ClearContext: t.ClearContext,
		Command: (*string)(t.Command), Path: (*string)(t.Path), Directory: (*string)(t.DirectoryPath), TaskID: (*string)(t.TaskID)}
	for _, p := range t.Paths {
		args.Paths = append(args.Paths, string(p))
	}
	for _, c := range t.Content {
		args.Content = append(args.Content, codeinterpreter.InputFile{Path: string(c.Path), Text: (*string)(c.Text), Blob: c.Blob})
	}
	return args
}

func resultFromDomain(r codeinterpreter.Result) toolResult {
	out := toolResult{Content: []contentBlock{}, IsError: r.IsError}
	for _, b := range r.Content {
		out.Content = append(out.Content, blockFromDomain(b))
	}
	if s := r.Structured; s != nil {
		out.Structured = &structuredContent{TaskID: s.TaskID, TaskStatus: string(s.Status), ExitCode: s.ExitCode}
		if s.Status != codeinterpreter.TaskSubmitted {
			out.Structured.Stdout, out.Structured.Stderr = &s.Stdout, &s.Stderr
		}
		if s.Duration != nil {
			seconds := s.Duration.Seconds()
			out.Structured.ExecutionTime = &seconds
		}
	}
	return out
}

func blockFromDomain(b codeinterpreter.Block) contentBlock {
	out := contentBlock{Type: string(b.Type)}
	switch b.Type {
	case codeinterpreter.ResourceBlock:
		out.Resource = &resourceContent{Type: "text", URI: b.URI, MIMEType: b.MIMEType, Text: &b.Text}
		if b.Blob != nil {
			out.Resource.Type, out.Resource.Text, out.Resource.Blob = "blob", nil, b.Blob
		}
	case codeinterpreter.ResourceLinkBlock:
		out.URI, out.Name, out.Description, out.MIMEType, out.Size = b.URI, b.Name, b.Description, b.MIMEType, b.Size
	default:
		out.Text = &b.Text
	}
	return out
}
