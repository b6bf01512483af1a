package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
)

// managed is the interpreter that every account has.
const managed = "aws.codeinterpreter.v1"

type session struct {
	client      *bedrockagentcore.Client
	p           *printer
	interpreter string
	id          *string
}

// answer is what a tool call gave back.
type answer struct {
	text string
	blob []byte
	took time.Duration
}

func (s *session) start(ctx context.Context) error {
	began := time.Now()
	r, err := s.client.StartCodeInterpreterSession(ctx, &bedrockagentcore.StartCodeInterpreterSessionInput{
		CodeInterpreterIdentifier: &s.interpreter, Name: aws.String("quickstart"), SessionTimeoutSeconds: aws.Int32(300),
	})
	if err != nil {
		return err
	}
	s.id = r.SessionId
	s.p.step("StartCodeInterpreterSession", "session "+*r.SessionId+" in a gVisor sandbox of its own", time.Since(began))
	return nil
}

func (s *session) stop(ctx context.Context) error {
	began := time.Now()
	_, err := s.client.StopCodeInterpreterSession(ctx, &bedrockagentcore.StopCodeInterpreterSessionInput{CodeInterpreterIdentifier: &s.interpreter, SessionId: s.id})
	if err == nil {
		s.p.step("StopCodeInterpreterSession", "the sandbox and all that was in it are gone", time.Since(began))
	}
	return err
}

// show invokes a tool that must succeed and prints what it answered.
func (s *session) show(ctx context.Context, name, what string, tool types.ToolName, args types.ToolArguments) error {
	a, err := s.invoke(ctx, tool, args)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.p.step(name, what, a.took)
	if args.Code != nil {
		s.p.code(*args.Code)
	}
	s.p.output(a.text)
	return nil
}

// invoke runs a tool and reads its event stream to the end.
func (s *session) invoke(ctx context.Context, tool types.ToolName, args types.ToolArguments) (a answer, err error) {
	began := time.Now()
	r, err := s.client.InvokeCodeInterpreter(ctx, &bedrockagentcore.InvokeCodeInterpreterInput{
		CodeInterpreterIdentifier: &s.interpreter, SessionId: s.id, Name: tool, Arguments: &args,
	})
	if err != nil {
		return a, err
	}
	stream := r.GetStream()
	defer func() { err = errors.Join(err, stream.Close()) }()
	var text []string
	for event := range stream.Events() {
		result, ok := event.(*types.CodeInterpreterStreamOutputMemberResult)
		if !ok {
			continue
		}
		for _, block := range result.Value.Content {
			if block.Text != nil {
				text = append(text, *block.Text)
			}
			if block.Resource != nil {
				a.blob = block.Resource.Blob
			}
		}
		if aws.ToBool(result.Value.IsError) {
			err = errors.New(strings.Join(text, "\n"))
		}
	}
	a.text, a.took = strings.Join(text, "\n"), time.Since(began)
	return a, errors.Join(err, stream.Err())
}
